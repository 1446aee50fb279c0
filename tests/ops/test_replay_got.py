"""Which archived receipts count, and since when one can know that an event has none."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

from aiokafka import TopicPartition

from events.codec import encode
from events.records import Receipt
from ops.replay import EVER, Got
from ops.replay_got import archived
from sinks.archive.shapes import DELIVERIES
from sinks.archive.storage import Folder
from sinks.archive.writer import PartitionWriter
from stream.restore import SLACK

NOON = datetime(2026, 7, 29, 12, tzinfo=UTC)
PLACE = TopicPartition("d", 1)


def write(root: Path, first: int, outcomes: list[str], *, begin: int | None = None) -> None:
    """Archive receipts, one a minute by offset, as someone who begins there or who accepts a gap."""
    writer = PartitionWriter(Folder(root), PLACE.topic, PLACE.partition, "w", DELIVERIES)
    writer.claim(log_start=first if begin is None else begin, log_end=100, accept_gap=True)
    records = [
        SimpleNamespace(
            offset=n,
            value=encode(Receipt(event_id=f"c/{n}", target="soc" if n % 2 else "mail", outcome=outcome)),
            timestamp=round((NOON + timedelta(minutes=n)).timestamp() * 1000),
        )
        for n, outcome in enumerate(outcomes, first)
    ]
    writer.commit(first + len(outcomes), writer.write(records).files)


def got(root: Path, below: int, minutes: int = 0) -> Got:
    return archived(root, PLACE, below, "soc", NOON + timedelta(minutes=minutes))


def test_what_was_shown_counts_and_nothing_else(tmp_path: Path) -> None:
    write(
        tmp_path, 0, ["delivered", "delivered", "accepted", "muted", "delivered", "digested", "delivered", "delivered"]
    )
    assert got(tmp_path, 7) == ({"c/1", "c/5"}, EVER)
    assert got(tmp_path, 7, minutes=2) == ({"c/5"}, EVER)


def test_an_archive_that_lacks_the_last_receipts_knows_of_nothing(tmp_path: Path) -> None:
    assert got(tmp_path, 9) == (set(), None)
    write(tmp_path, 0, ["delivered", "delivered"])
    assert got(tmp_path, 3) == ({"c/1"}, None)


def test_before_the_archive_began_nothing_is_known(tmp_path: Path) -> None:
    write(tmp_path, 4, ["delivered", "delivered"])
    assert got(tmp_path, 6) == ({"c/5"}, NOON + timedelta(minutes=4) + SLACK)
    # Begun long before what is asked for, it knows all of that.
    write(tmp_path, 6, ["delivered"], begin=4)
    later = round((datetime.now(UTC) - NOON).total_seconds() / 60) + 2_000
    assert got(tmp_path, 7, minutes=later) == (set(), EVER)


def test_before_a_gap_nothing_is_known(tmp_path: Path) -> None:
    write(tmp_path, 0, ["delivered", "delivered"])
    write(tmp_path, 11, ["delivered", "delivered"])
    assert got(tmp_path, 13) == ({"c/1", "c/11"}, NOON + timedelta(minutes=11) + SLACK)
