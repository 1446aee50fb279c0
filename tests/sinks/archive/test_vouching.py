"""A head every hour, however often the process is started anew."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from sinks.archive import heads
from sinks.archive.heads import Tip
from sinks.archive.layout import entry_name
from sinks.archive.storage import Folder
from sinks.archive.vouching import Voucher
from sinks.archive.writer import PartitionWriter

HOUR = timedelta(hours=1)


class Process:
    """A sink that owns a partition, at a time of its own."""

    def __init__(self, folder, minutes, partition=0):
        self.told = []
        self._folder, self._partition, self.minutes, self._seq = folder, partition, minutes, 0
        self._voucher = Voucher(folder, HOUR, "w", None, self, "heads", now=self._now)

    def _now(self):
        return datetime.now(UTC) + timedelta(minutes=self.minutes)

    async def send_and_wait(self, _topic, _value, *, key):
        self.told.append(key.decode())

    def vouch(self, minutes):
        self.minutes, self._seq = minutes, self._seq + 1
        tip = Tip(topic="t", partition=self._partition, seq=self._seq, sha256="x")
        for _ in range(2):  # as the loop does, five times a second
            asyncio.run(self._voucher.vouch([SimpleNamespace(tip=tip)]))
        return len(self.told)


@pytest.fixture
def archive(tmp_path):
    """An archive whose two partitions were claimed just now."""
    for partition in (0, 1):
        PartitionWriter(Folder(tmp_path), "t", partition, "w").claim(log_start=0, log_end=0)
    return Folder(tmp_path)


def test_a_head_is_put_every_hour(archive):
    process = Process(archive, 0)
    assert [process.vouch(minutes) for minutes in (0, 30, 59, 61, 90, 122)] == [0, 0, 0, 1, 1, 2]


def test_a_process_that_never_lives_an_hour_vouches_all_the_same(archive):
    # A head bears the time of the real clock, so that each hour begins at the same minute here.
    assert [Process(archive, minutes).vouch(minutes) for minutes in (20, 40, 61, 20, 40, 61)] == [0, 0, 1, 0, 0, 1]


def test_the_heads_of_others_are_not_ours(archive):
    assert Process(archive, 61, partition=1).vouch(61) == 1
    assert Process(archive, 61).vouch(61) == 1


def test_a_damaged_head_does_not_hold_the_look_back_up(archive, tmp_path):
    for _ in range(2):
        assert Process(archive, 61).vouch(61) == 1
    (tmp_path / "heads" / entry_name(0)).write_bytes(b"{")
    assert heads.numbers(archive) == [0, 1]
    assert Process(archive, 10, partition=1).vouch(10) == 1
