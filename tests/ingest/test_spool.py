"""The spool's file: order, bounds, and a switch that is open whenever something is in it."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ingest.accept import RawRecord
from ingest.partitioner import partition_of
from ingest.publisher import NotPublished
from ingest.spool import Entry, Spool
from ingest.spool_writer import SpoolWriter
from ingest.switch import CLOSED, CLOSING, OPEN, Switch

MB = 1024 * 1024
TOPIC = "t.raw.v1"


def record(content: bytes, key: bytes = b"k") -> RawRecord:
    return RawRecord(key, content, [("event-id", b"e"), ("tenant", "défaut".encode())])


@pytest.fixture
def switch(tmp_path):
    switch = Switch(tmp_path / "switch")
    yield switch
    switch.close()


@pytest.fixture
def spool(tmp_path, switch):
    with Spool(tmp_path, TOPIC, max_bytes=MB, switch=switch) as spool:
        yield spool


def test_a_record_comes_back_as_it_was(spool):
    given = record(bytes(range(256)))
    [number] = spool.write([Entry(3, late=True, record=given)])
    [row] = spool.head(3, 10, MB)
    assert (row.id, row.late, row.record) == (number, True, given)
    assert spool.head(2, 10, MB) == []
    assert spool.size()[0] == 1


def test_the_oldest_event_is_known_by_its_arrival(spool):
    for minute in (5, 6):
        received = ("received-at", f"2026-07-29T08:0{minute}:00.000000+00:00".encode())
        spool.write([Entry(minute, late=False, record=RawRecord(b"key", b"value", [received]))])
    assert spool.oldest() == "2026-07-29T08:05:00.000000+00:00"


def test_a_batch_is_bounded_but_never_empty(spool):
    spool.write([Entry(0, late=False, record=record(b"x" * 1000)) for _ in range(10)])
    assert len(spool.head(0, 3, MB)) == 3
    assert len(spool.head(0, 100, 2500)) == 2
    assert len(spool.head(0, 100, 1)) == 1


def test_at_its_bound_it_refuses_until_there_is_room_again(spool):
    ids = []

    def fill() -> None:
        while True:
            ids.extend(spool.write([Entry(0, late=False, record=record(b"x" * 1000))]))

    with pytest.raises(sqlite3.OperationalError, match="full"):
        fill()
    assert 500 < len(ids) < 1000
    assert spool.size()[1] <= MB
    spool.write([], remove=ids[:100])
    spool.write([Entry(0, late=False, record=record(b"x" * 1000)) for _ in range(80)])
    assert spool.head(0, 1, MB)[0].id == ids[100]


def test_another_number_of_partitions_places_the_events_anew(spool):
    spool.partitioned(4, partition_of)
    keys = [str(number).encode() for number in range(50)]
    spool.write([Entry(partition_of(key, 4), late=False, record=record(b"{}", key)) for key in keys])
    spool.partitioned(12, partition_of)
    found = {row.record.key: number for number in range(12) for row in spool.head(number, 100, MB)}
    assert found == {key: partition_of(key, 12) for key in keys}


def test_what_is_written_survives_a_kill(tmp_path, switch):
    program = """
import os, signal, sys
from pathlib import Path
from ingest.accept import RawRecord
from ingest.publisher import NotPublished
from ingest.spool import Entry, Spool
from ingest.spool_writer import SpoolWriter
from ingest.switch import Switch
folder = Path(sys.argv[1])
spool = Spool(folder, "t.raw.v1", max_bytes=1 << 20, switch=Switch(folder / "switch"))
for number in range(20):
    spool.write([Entry(0, False, RawRecord(b"k", b"%d" % number, []))])
spool._db.execute("BEGIN IMMEDIATE")
spool._insert(Entry(0, False, RawRecord(b"k", b"half", [])))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == -9
    assert switch.state == OPEN
    switch.state = CLOSED  # as after a power cut: the byte is not what counts
    with Spool(tmp_path, TOPIC, max_bytes=MB, switch=switch) as spool:
        assert switch.state == OPEN
        assert [row.record.value for row in spool.head(0, 100, MB)] == [b"%d" % number for number in range(20)]


def test_an_event_that_does_not_fit_fails_alone(spool):
    [first] = spool.write([Entry(0, late=True, record=record(b"1"))])
    [second] = spool.write([Entry(0, late=True, record=record(b"2" * 100_000))])

    async def scenario():
        writer = SpoolWriter(spool)
        writer._loop = asyncio.get_running_loop()
        done = writer.append(0, record(b"x" * 1_000_000), late=False)
        removed = asyncio.create_task(writer.remove([first]))
        await asyncio.sleep(0)
        writer.settle(second)
        writer._write(writer._gather()[0])  # all three in one group
        await removed
        with pytest.raises(NotPublished, match="full"):
            await done

    asyncio.run(scenario())
    assert [(row.id, row.late) for row in spool.head(0, 10, MB)] == [(second, False)]


class Workers(RuleBasedStateMachine):
    """Two processes' views of one spool, against lists."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.switches = [Switch(self.folder / "switch") for _ in range(2)]
        self.views = [self.opened(worker) for worker in range(2)]
        self.rows: dict[int, list[tuple[int, bool, bytes]]] = {0: [], 1: []}
        self.count = 0

    def opened(self, worker: int) -> Spool:
        return Spool(self.folder, TOPIC, max_bytes=MB, switch=self.switches[worker])

    @rule(worker=st.integers(0, 1), partitions=st.lists(st.integers(0, 1), min_size=1, max_size=4), late=st.booleans())
    def append(self, worker, partitions, late):
        values = [b"%d" % (self.count + place) for place in range(len(partitions))]
        self.count += len(partitions)
        entries = [Entry(number, late, record(value)) for number, value in zip(partitions, values, strict=True)]
        ids = self.views[worker].write(entries)
        for number, ident, value in zip(partitions, ids, values, strict=True):
            self.rows[number].append((ident, late, value))

    @precondition(lambda self: self.rows[0] or self.rows[1])
    @rule(worker=st.integers(0, 1), data=st.data())
    def remove(self, worker, data):
        number, row = data.draw(st.sampled_from([(n, row) for n, rows in self.rows.items() for row in rows]))
        self.views[worker].write([], remove=[row[0]])
        self.rows[number].remove(row)

    @precondition(lambda self: self.rows[0])
    @rule(worker=st.integers(0, 1))
    def settle(self, worker):
        ident, _, value = self.rows[0][0]
        self.views[worker].write([], settle=[ident])
        self.rows[0][0] = (ident, False, value)

    @rule(worker=st.integers(0, 1))
    def shut(self, worker):
        empty = not (self.rows[0] or self.rows[1])
        assert self.views[worker].shut() == empty
        assert (self.switches[0].state == CLOSED) == empty

    @precondition(lambda self: self.switches[0].state == OPEN)
    @rule()
    def closing(self):
        self.switches[0].state = CLOSING

    @rule(worker=st.integers(0, 1))
    def restart(self, worker):
        self.views[worker].close()
        self.views[worker] = self.opened(worker)

    @invariant()
    def both_see_the_same_in_order(self):
        for view in self.views:
            for number, rows in self.rows.items():
                found = [(row.id, row.late, row.record.value) for row in view.head(number, 1000, MB)]
                assert found == rows

    @invariant()
    def nobody_goes_past_what_is_in_it(self):
        if self.rows[0] or self.rows[1]:
            assert CLOSED not in {switch.state for switch in self.switches}

    def teardown(self):
        for each in (*self.views, *self.switches):
            each.close()
        shutil.rmtree(self.folder)


TestWorkers = Workers.TestCase
TestWorkers.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
