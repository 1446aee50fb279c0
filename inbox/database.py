"""The SQLite file: one writer at a time, readers of their own, a schema made at the first start."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from events.errors import NotReady

VERSION = 2

SCHEMA = """
CREATE TABLE positions (topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL, PRIMARY KEY (topic, partition))
  WITHOUT ROWID;
CREATE TABLE clock (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), now INTEGER NOT NULL);
INSERT INTO clock VALUES (1, 0);
CREATE TABLE threads (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, newest INTEGER NOT NULL, changed INTEGER NOT NULL,
  first_at REAL NOT NULL, last_at REAL NOT NULL, count INTEGER NOT NULL, types TEXT NOT NULL, headline TEXT NOT NULL,
  title TEXT NOT NULL, entity TEXT NOT NULL, rule TEXT NOT NULL, status TEXT NOT NULL, short_id TEXT NOT NULL,
  source TEXT NOT NULL, target TEXT NOT NULL, link TEXT NOT NULL, tenant TEXT NOT NULL, community TEXT NOT NULL,
  community_name TEXT NOT NULL, pending TEXT NOT NULL, urgency INTEGER, level TEXT NOT NULL, search TEXT NOT NULL,
  by_rule INTEGER NOT NULL, by_entity INTEGER NOT NULL, urgent_at INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX threads_newest ON threads (newest);
CREATE INDEX threads_changed ON threads (changed);
CREATE INDEX threads_by_rule ON threads (by_rule, newest);
CREATE INDEX threads_by_entity ON threads (by_entity, newest);
CREATE INDEX threads_level ON threads (level, newest);
CREATE INDEX threads_rule ON threads (rule, newest);
CREATE INDEX threads_entity ON threads (entity, newest);
CREATE INDEX threads_status ON threads (status, newest);
CREATE INDEX threads_community ON threads (community, newest);
CREATE INDEX threads_tenant ON threads (tenant, newest);
CREATE INDEX threads_urgent ON threads (urgent_at) WHERE urgent_at > 0;
CREATE TABLE bursts (kind TEXT, key TEXT, thread INTEGER NOT NULL, last_at REAL NOT NULL, size INTEGER NOT NULL,
  PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE notifications (
  id INTEGER PRIMARY KEY, thread INTEGER NOT NULL, event_id TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL,
  type TEXT NOT NULL, action TEXT NOT NULL, received_at REAL NOT NULL, happened_at REAL NOT NULL,
  headline TEXT NOT NULL, text TEXT NOT NULL, author TEXT NOT NULL
);
CREATE INDEX notifications_thread ON notifications (thread, id);
CREATE TABLE bodies (notification INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE deliveries (
  id INTEGER PRIMARY KEY, event_id TEXT NOT NULL, at REAL NOT NULL, target TEXT NOT NULL, outcome TEXT NOT NULL,
  status TEXT NOT NULL, attempts INTEGER NOT NULL, latency REAL, rules TEXT NOT NULL
);
CREATE INDEX deliveries_event ON deliveries (event_id);
CREATE INDEX deliveries_at ON deliveries (at);
CREATE TABLE facets (kind TEXT, value TEXT, label TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (kind, value))
  WITHOUT ROWID;
CREATE TABLE readers (name TEXT PRIMARY KEY, read_up_to INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE seen (reader TEXT, thread INTEGER, newest INTEGER NOT NULL, PRIMARY KEY (reader, thread)) WITHOUT ROWID;
CREATE INDEX seen_thread ON seen (thread);
CREATE TABLE links (name TEXT PRIMARY KEY, token_hash TEXT NOT NULL UNIQUE, created_at REAL NOT NULL) WITHOUT ROWID;
"""
"""`newest` and `changed` are readings of one clock: the first orders the page, the second is where a browser goes on.
A thread's `by_rule` and `by_entity` name the thread that opened its burst, its own where it stands alone; `urgent_at` is
the clock's reading at which it became urgent, 0 for never."""

UPGRADES = {
    1: """
ALTER TABLE threads ADD COLUMN urgent_at INTEGER NOT NULL DEFAULT 0;
UPDATE threads SET urgent_at = id WHERE level = 'urgent';
CREATE INDEX threads_urgent ON threads (urgent_at) WHERE urgent_at > 0;
CREATE INDEX seen_thread ON seen (thread);
"""
}
"""What makes a file of one version one of the next; a thread's id is the clock's reading at which it came."""

_PRAGMAS = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 10000;"
# NORMAL: after a power cut the last transactions may be gone, their offsets with them, and Kafka has the records.


class Database:
    """The file, opened; `close` it."""

    def __init__(self, path: Path) -> None:
        """Open it, and make it where there is none.

        Raises NotReady when it cannot be used.
        """
        self.path = path
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._opened: list[sqlite3.Connection] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._writer = self._connect()
            self._writer.executescript(_PRAGMAS)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise NotReady(f"The inbox's database {path} cannot be used ({error}); see INBOX_DATABASE.") from error

    def _prepare(self) -> None:
        """Make or upgrade the tables, all or none; a second process that starts at the same moment finds them made."""
        with self.writing() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise NotReady(f"{self.path} was written by a newer version of tocsin.")
            scripts = [SCHEMA] if version == 0 else [UPGRADES[each] for each in range(version, VERSION)]
            for statement in filter(str.strip, ";".join(scripts).split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10)
        connection.row_factory = sqlite3.Row
        self._opened.append(connection)
        return connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Hold the one writing connection in a transaction: committed at the end, rolled back on any exception."""
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Hold a reading connection in one unchanging view of the data."""
        # A connection of its own for each thread would outlive it, and threads of a web server come and go all night.
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
            connection.executescript(_PRAGMAS + "PRAGMA query_only = 1; PRAGMA mmap_size = 268435456;")
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")
            self._idle.append(connection)

    def close(self) -> None:
        """Close every connection; nobody may use it any more."""
        for connection in self._opened:
            connection.close()
