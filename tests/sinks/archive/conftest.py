"""Records as Kafka hands them over, Kafka as the archive sees it, and a disk that ends the process at the step one names."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import MessageSizeTooLargeError

from events.codec import encode
from events.headers import as_text
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sinks.archive.read import read_rows
from sinks.archive.storage import Disk

NOON = datetime(2026, 7, 29, 12, tzinfo=UTC)


def record(
    offset: int, *, tenant: str = "default", days_ago: int = 0, value: bytes | None = b"", key: bytes = b"k"
) -> Any:
    """Make the record at an offset; `days_ago` is how long the event took to arrive."""
    event = EnrichedEvent(
        event_id=f"e{offset}",
        received_at=NOON,
        tenant=tenant,
        event=WebhookEvent(
            type="alert",
            action="created",
            attributes={"uuid": "a"},
            metadata={"created_at": (NOON - timedelta(days=days_ago)).isoformat()},
        ),
        enrichment=Enrichment(status="not_applicable"),
    )
    return SimpleNamespace(offset=offset, value=encode(event) if value == b"" else value, key=key, headers=())


@pytest.fixture(name="record")
def _record() -> Callable[..., Any]:
    return record


@pytest.fixture(name="records")
def _records() -> Callable[..., list[Any]]:
    """Give the records of offsets `first` up to, not including, `following`: two tenants, every third a day late."""

    def records(first: int, following: int) -> list[Any]:
        return [record(n, tenant="ab"[n % 2], days_ago=n % 3 == 0) for n in range(first, following)]

    return records


@pytest.fixture(name="offsets")
def _offsets() -> Callable[[Path], list[int]]:
    """Give the offsets a reader of the manifest finds, sorted."""

    def offsets(root: Path) -> list[int]:
        return sorted(read_rows(root, ["kafka_offset"])["kafka_offset"].to_pylist())

    return offsets


class Consumer:
    """What the archive uses of aiokafka's consumer: `logs` holds the records, None is a transaction's marker.

    `events` happen before or after a getmany, one per call.
    """

    def __init__(self, logs: dict[TopicPartition, list[Any]]) -> None:
        self.logs = logs
        self.places: dict[TopicPartition, int] = {}
        self.log_start = 0
        self.events: list[tuple[str, Callable[[], Any]]] = []
        self.committed: dict[TopicPartition, int] = {}

    async def getmany(self, **_options: int) -> dict[TopicPartition, list[Any]]:
        when, event = self.events.pop(0) if self.events else ("", None)
        if when == "before" and event:
            await event()
        batch = {partition: found for partition in self.places if (found := self._read(partition))}
        if when == "after" and event:
            await event()
        return batch

    def _read(self, partition: TopicPartition) -> list[Any]:
        """Read three records; a marker behind them is passed with the next read, as aiokafka does."""
        found: list[Any] = []
        while len(found) < 3 and self.places[partition] < len(self.logs[partition]):
            slot = self.logs[partition][self.places[partition]]
            found += [slot] if slot else []
            self.places[partition] += 1
        return found

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.places[partition] = offset

    async def position(self, partition: TopicPartition) -> int:
        return self.places[partition]

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self.log_start)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: len(self.logs[partition]) for partition in partitions}

    def assignment(self) -> set[TopicPartition]:
        return set(self.places)

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.committed |= offsets


class Producer:
    """Keeps what was sent, and refuses what the broker would."""

    limit = 2 * 1024 * 1024

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes | None, bytes | None, dict[str, str]]] = []

    async def send_and_wait(self, topic: str, value: bytes | None, key: bytes | None, headers: Any) -> None:
        size = len(value or b"") + len(key or b"") + sum(len(name) + len(text) for name, text in headers)
        if size > self.limit:
            raise MessageSizeTooLargeError
        self.sent.append((topic, value, key, as_text(headers)))


@pytest.fixture(name="consumer_of")
def _consumer() -> type[Consumer]:
    return Consumer


@pytest.fixture
def producer() -> Producer:
    return Producer()


class Died(BaseException):
    """The process is gone: nothing in it may catch this and go on."""


class DyingDisk(Disk):
    """A disk at whose `step`th call the process dies: before it, or after it, or in the middle of writing."""

    def __init__(self, step: int | None = None, when: str = "before") -> None:
        self.step = step
        self.when = when
        self.steps: list[str] = []
        self.dead = False

    def _do(self, name: str, *arguments: Any) -> None:
        if self.dead:
            raise Died  # a finally clause ran: a killed process has none
        self.steps.append(name)
        last = self.step is not None and len(self.steps) > self.step
        if last and self.when == "middle" and name == "write":
            path, data = arguments
            super().write(path, data[: len(data) // 2])
        elif not last or self.when == "after":
            getattr(super(), name)(*arguments)
        if last:
            self.dead = True
            raise Died

    def write(self, path: Path, data: bytes) -> None:
        self._do("write", path, data)

    def sync(self, path: Path) -> None:
        self._do("sync", path)

    def rename(self, source: Path, path: Path) -> None:
        self._do("rename", source, path)

    def link(self, source: Path, path: Path) -> None:
        self._do("link", source, path)

    def make_folder(self, path: Path) -> None:
        self._do("make_folder", path)

    def delete(self, path: Path) -> None:
        self._do("delete", path)


@pytest.fixture(name="dying_disk")
def _dying_disk() -> type[DyingDisk]:
    return DyingDisk


@pytest.fixture(name="died")
def _died() -> type[Died]:
    return Died
