"""Records as Kafka hands them over, Kafka as the archive sees it, and a disk that ends the process at the step one names."""

import contextlib
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import MessageSizeTooLargeError

from events.codec import encode
from events.headers import as_text
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sinks.archive.layout import entry_sequence
from sinks.archive.read import files, read_rows
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


class Machine:
    """What a machine has not made durable yet, and loses when its power is cut."""

    def __init__(self) -> None:
        self.contents: set[int] = set()
        self.names: list[tuple[Path, Callable[[], Any]]] = []

    def cut(self, root: Path, random: Random | None = None) -> None:
        """Lose every name and content that was not synced; with `random`, in each folder the last few only."""
        kept = {folder: random.randint(0, len(self.names)) if random else 0 for folder, _ in self.names}
        seen: Counter[Path] = Counter()
        lost = []
        for folder, undo in self.names:
            seen[folder] += 1
            lost += [undo] if seen[folder] > kept[folder] else []
        for undo in reversed(lost):
            with contextlib.suppress(FileNotFoundError):
                undo()
        for path in root.rglob("*"):
            if path.is_file() and path.stat().st_ino in self.contents:
                path.write_bytes(path.read_bytes()[: random.randint(0, 999) if random else 0])
        self.contents, self.names = set(), []


class DyingDisk(Disk):
    """A disk at whose `step`th call the process dies: before it, after it, or in the middle of writing."""

    def __init__(self, step: int | None = None, when: str = "before", machine: Machine | None = None) -> None:
        self.step = step
        self.when = when
        self.machine = machine or Machine()
        self.steps: list[str] = []
        self.dead = False

    def _do(self, name: str, act: Callable[[], Any], half: Callable[[], Any] | None = None) -> None:
        if self.dead:
            raise Died  # a finally clause ran: a killed process has none
        self.steps.append(name)
        last = self.step is not None and len(self.steps) > self.step
        if last and self.when == "middle" and half:
            half()
        elif not last or self.when == "after":
            act()
        if last:
            self.dead = True
            raise Died

    def write(self, path: Path, data: bytes) -> None:
        def act(data: bytes = data) -> None:
            super(DyingDisk, self).write(path, data)
            self.machine.contents.add(path.stat().st_ino)
            self.machine.names.append((path.parent, path.unlink))

        self._do("write", act, lambda: act(data[: len(data) // 2]))

    def sync(self, path: Path) -> None:
        def act() -> None:
            self.machine.contents.discard(path.stat().st_ino)
            self.machine.names = [each for each in self.machine.names if each[0] != path]

        self._do("sync", act)

    def rename(self, source: Path, path: Path) -> None:
        def act() -> None:
            assert not path.exists()
            super(DyingDisk, self).rename(source, path)
            self.machine.names.append((path.parent, lambda: path.rename(source)))

        self._do("rename", act)

    def link(self, source: Path, path: Path) -> None:
        def act() -> None:
            super(DyingDisk, self).link(source, path)
            self.machine.names.append((path.parent, path.unlink))

        self._do("link", act)

    def make_folder(self, path: Path) -> None:
        def act() -> None:
            if not path.exists():
                super(DyingDisk, self).make_folder(path)
                self.machine.names.append((path.parent, lambda: shutil.rmtree(path)))

        self._do("make_folder", act)

    def delete(self, path: Path) -> None:
        def act() -> None:
            if path.exists():
                data = path.read_bytes()
                super(DyingDisk, self).delete(path)
                self.machine.names.append((path.parent, lambda: path.write_bytes(data)))

        self._do("delete", act)


@pytest.fixture(name="dying_disk")
def _dying_disk() -> type[DyingDisk]:
    return DyingDisk


@pytest.fixture(name="machine_of")
def _machine_of() -> type[Machine]:
    return Machine


@pytest.fixture(name="died")
def _died() -> type[Died]:
    return Died


def unlisted(root: Path) -> list[str]:
    """Return what lies in the archive and no manifest lists."""
    listed = {*files(root)}
    found = [path for path in root.rglob("*") if path.is_file() and path not in listed]
    return sorted(path.relative_to(root).as_posix() for path in found if entry_sequence(path.name) is None)


@pytest.fixture(name="unlisted")
def _unlisted() -> Callable[[Path], list[str]]:
    return unlisted
