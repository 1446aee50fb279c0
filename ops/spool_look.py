"""A look into this host's spool: what waits there for Kafka, without getting in the way of whoever drains it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from events.headers import RawHeaders
from ingest.spool import path_of


def holding(folder: Path, topic: str, key: bytes) -> list[RawHeaders]:
    """Return the headers of the events about one key, in order.

    Raises sqlite3.Error.
    """
    with _rows(folder, topic, "SELECT headers FROM events WHERE key = ? ORDER BY id", (key,)) as rows:
        return [each for row in rows if (each := _headers(row[0]))]


def oldest(folder: Path, topic: str) -> tuple[int, datetime | None]:
    """Return how many events wait, and when the oldest of them was received.

    Raises sqlite3.Error.
    """
    with _rows(folder, topic, "SELECT count(*), min(id) FROM events", ()) as rows:
        count, first = (int(each or 0) for each in next(rows, (0, 0)))
    if not count:
        return 0, None
    with _rows(folder, topic, "SELECT headers FROM events WHERE id = ?", (first,)) as rows:
        found = [_headers(row[0]) for row in rows]
    return count, next((each.received_at for each in found if each), None)


@contextmanager
def _rows(folder: Path, topic: str, query: str, values: tuple[object, ...]) -> Iterator[Iterator[tuple[Any, ...]]]:
    path = path_of(folder, topic)
    if not path.exists():
        yield iter(())
        return
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2.0)) as db:
        yield db.execute(query, values)


def _headers(packed: bytes) -> RawHeaders | None:
    return RawHeaders.from_kafka([(name, text.encode()) for name, text in orjson.loads(packed)])
