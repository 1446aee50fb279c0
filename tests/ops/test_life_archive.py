"""Webhooks and receipts of one key in the archive: on the days where they must be, each once, and the truth about the rest."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from events.codec import encode
from events.headers import RawHeaders
from events.records import Receipt
from ops import life, life_archive
from ops.life_archive import Looked, Place
from sinks.archive import compaction, layout
from sinks.archive.shapes import DELIVERIES, RAW
from sinks.archive.storage import Disk, Folder
from sinks.archive.writer import PartitionWriter

NOW = datetime.now(UTC).replace(microsecond=0)
CAME = NOW - timedelta(days=35)
TOLD = Place("t.deliveries.v1", 1, layout.DELIVERIES)
POSTED = Place("t.raw.v1", 1, layout.RAW)


@pytest.fixture(autouse=True)
def _no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Disk, "sync", lambda *_: None)


def write(root: Path, place: Place, records: list[SimpleNamespace]) -> list[str]:
    """Write a file for each record, and return where they are."""
    shape = {layout.RAW: RAW, layout.DELIVERIES: DELIVERIES}[place.folder]
    writer, paths = PartitionWriter(Folder(root), place.topic, place.partition, "w", shape), []
    writer.claim(log_start=0, log_end=1_000)
    for record in records:
        files = writer.write([record]).files
        writer.commit(record.offset + 1, files)
        paths += [file.path for file in files]
    return paths


def receipt(offset: int, event: str, at: datetime) -> SimpleNamespace:
    value = encode(Receipt(event_id=event, alert="a1", target="soc", outcome="accepted"))
    return SimpleNamespace(offset=offset, value=value, timestamp=int(at.timestamp() * 1000))


def posted(offset: int, key: bytes, at: datetime, tenant: str = "default") -> SimpleNamespace:
    headers = RawHeaders("c/1", "vendor", f"d{offset}", at, tenant=tenant, hook="sekoia").to_kafka()
    return SimpleNamespace(
        offset=offset,
        key=key,
        value=b"{}",
        headers=headers,
        timestamp=int((at + timedelta(minutes=2)).timestamp() * 1000),
    )


def receipts(root: Path, seconds: float = 60.0, event: str = "c/1") -> Looked:
    return life_archive.receipts(root, TOLD, {event}, [CAME], seconds)


def test_a_receipt_is_found_however_late_it_was(tmp_path: Path) -> None:
    late = CAME + timedelta(days=3)
    write(tmp_path, TOLD, [receipt(3, "c/0", CAME), receipt(4, "c/1", CAME), receipt(9, "c/1", late)])
    found = receipts(tmp_path)
    assert [(each.offset, each.timestamp) for each in found.records] == [
        (offset, int(at.timestamp() * 1000)) for offset, at in ((4, CAME), (9, late))
    ]
    assert [one.target for each in found.records if (one := life.receipt(each.value))] == ["soc", "soc"]
    assert (found.whole, found.next_offset) == (True, 10)
    assert (receipts(tmp_path, event="c/2").records, receipts(tmp_path, event="c/2").whole) == ([], True)


def test_a_webhook_comes_back_with_its_key_and_headers(tmp_path: Path) -> None:
    copy = CAME + timedelta(hours=20)
    write(
        tmp_path,
        POSTED,
        [posted(1, b"a1", CAME, "a/b"), posted(2, b"a2", CAME, "a/b"), posted(3, b"a1", copy, "a/b")],
    )
    tenants = {layout.tenant_segment("a/b")}
    found = life_archive.webhooks(tmp_path, POSTED, b"a1", tenants, [CAME], 60.0)
    arrivals = [life.arrival(each) for each in found.records]
    assert [(each.offset, each.hook, each.received_at) for each in arrivals] == [
        (1, "sekoia", CAME),
        (3, "sekoia", copy),
    ]
    assert arrivals[0].spooled == 120
    assert found.whole


def test_a_merged_file_and_those_it_replaces_count_once_and_what_a_killed_writer_left_not_at_all(
    tmp_path: Path,
) -> None:
    (path, *_) = write(tmp_path, TOLD, [receipt(offset, "c/1", CAME) for offset in range(3)])
    compaction.compact(Folder(tmp_path), *TOLD[:2], "w", None, at_least=2)
    folder = (tmp_path / path).parent
    assert len(list(folder.iterdir())) == 4
    shutil.copy(tmp_path / path, folder / layout.data_name(*TOLD[:2], 700, 70))
    assert [each.offset for each in receipts(tmp_path).records] == [0, 1, 2]
    compaction.clear(Folder(tmp_path), *TOLD[:2], timedelta(0))
    assert [each.offset for each in receipts(tmp_path).records] == [0, 1, 2]


def test_what_was_not_read_is_said(tmp_path: Path) -> None:
    (path,) = write(tmp_path, TOLD, [receipt(0, "c/1", CAME)])
    hurried = receipts(tmp_path, seconds=-1.0)
    assert (hurried.records, hurried.whole, hurried.unread) == ([], False, hurried.folders)
    (tmp_path / path).write_bytes(b"PAR1")
    broken = receipts(tmp_path)
    assert not broken.whole
    assert "cannot be read" in broken.problem
    nowhere = receipts(tmp_path / "nowhere")
    assert (nowhere.whole, nowhere.next_offset, nowhere.problem) == (False, None, "")
