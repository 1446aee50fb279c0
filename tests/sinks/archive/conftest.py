"""Records as Kafka hands them over, and a disk that ends the process at the step one names."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from events.codec import encode
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sinks.archive.read import read_rows
from sinks.archive.storage import Disk

NOON = datetime(2026, 7, 29, 12, tzinfo=UTC)


def record(offset: int, *, tenant: str = "default", days_ago: int = 0, value: bytes | None = b"") -> Any:
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
    return SimpleNamespace(offset=offset, value=encode(event) if value == b"" else value, key=b"k", headers=())


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


@pytest.fixture(name="DyingDisk")
def _dying_disk() -> type[DyingDisk]:
    return DyingDisk


@pytest.fixture(name="Died")
def _died() -> type[Died]:
    return Died
