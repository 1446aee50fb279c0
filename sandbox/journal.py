"""What the sender knows: each event, each try to deliver it, each answer, on disk before and after it happened."""

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson


@dataclass
class Sent:
    """One body, and how often it was posted and acknowledged; equal bodies are one entry."""

    body: bytes
    tries: int = 0
    acknowledged: int = 0
    straight: bool = False
    """Produced to the raw topic without ingest: an undecodable record."""


@dataclass
class Journal:
    """An append-only file of tries and answers; `sent` is what it says."""

    path: Path
    sent: dict[bytes, Sent] = field(default_factory=dict)
    _together: bool = False

    def __enter__(self) -> Self:
        self._file = self.path.open("ab")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write what is noted in the block without waiting for the disk; call `sync` after it."""
        self._together = True
        try:
            yield
        finally:
            self._together = False
            self._file.flush()

    def sync(self) -> None:
        """Wait until the disk has everything; may be called in a thread."""
        os.fsync(self._file.fileno())

    def trying(self, body: bytes, *, straight: bool = False) -> None:
        """Note a delivery that is about to be made."""
        entry = self.sent.setdefault(body, Sent(body, straight=straight))
        entry.tries += 1
        self._write({"try": base64.b64encode(body).decode(), "straight": straight})

    def acknowledged(self, body: bytes) -> None:
        """Note that the delivery was answered with 2xx."""
        self.sent[body].acknowledged += 1
        self._write({"ack": base64.b64encode(body).decode()})

    def _write(self, line: dict[str, object]) -> None:
        self._file.write(orjson.dumps(line) + b"\n")
        if not self._together:
            self._file.flush()
            self.sync()


def read(path: Path) -> dict[bytes, Sent]:
    """Return what a journal says; the oracle trusts the file, not the sender's memory."""
    sent: dict[bytes, Sent] = {}
    for line in _lines(path):
        if "try" in line:
            body = base64.b64decode(str(line["try"]))
            sent.setdefault(body, Sent(body, straight=bool(line["straight"]))).tries += 1
        else:
            sent[base64.b64decode(str(line["ack"]))].acknowledged += 1
    return sent


def _lines(path: Path) -> Iterator[dict[str, object]]:
    with path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)
