"""The rows of the page: newest first, a page at a time by key, and what changed since.

A burst stands where its newest alert came, and shows the newest of its most urgent ones: what the row says, and what it
opens, is the alert that its colour is about.
"""

import sqlite3
from dataclasses import dataclass
from typing import Any

from inbox.filters import Filters

PAGE = 50
FAR = 2000
TOUCHED = 200
"""Changes after which a page is better loaded anew than told what changed."""

LIVE = 30
"""Rows of one live message; when more changed, the page loads the rest when asked to scroll there."""

_UNREAD = (
    "{0}.newest > coalesce((SELECT s.newest FROM seen s WHERE s.reader = ? AND s.thread = {0}.id), "
    "(SELECT r.read_up_to FROM readers r WHERE r.name = ?), 0)"
)


@dataclass(frozen=True)
class Rows:
    """Some rows of the page, newest first; each is a thread, the most urgent of its burst."""

    rows: list[sqlite3.Row]
    more: bool
    """Whether older ones follow (of a page), or more changed than these (of a live message)."""
    clock: int
    """The clock's reading at which this was true."""
    gone: tuple[int, ...] = ()
    """Rows a page may still show that no longer are, or no longer match."""
    touched: tuple[int, ...] = ()
    """The newest of the threads that changed, whatever the filters: one of them may be open."""
    far: bool = False
    """Whether too much changed to tell."""


class Listing:
    """Rows for one set of filters as one reader sees them; without a reader everything is unread."""

    def __init__(self, filters: Filters, reader: str = "") -> None:
        self._filters = filters
        self._reader = reader
        self._group = filters.column
        self._alone = filters.column == "id"

    def page(self, connection: sqlite3.Connection, before: int | None = None) -> Rows:
        """Return the newest rows, or those older than the key `before`."""
        rows = self._select(connection, "t.newest < ?", [before if before is not None else 1 << 62], PAGE + 1)
        return Rows(rows[:PAGE], len(rows) > PAGE, clock(connection))

    def members(self, connection: sqlite3.Connection, burst: int) -> Rows:
        """Return the threads of one burst."""
        where, values = self._where("t")
        unread = _UNREAD.format("t") if self._reader else "1"
        sql = (
            f"SELECT t.*, t.id AS row, 1 AS members, {unread} AS unread FROM threads t "  # noqa: S608
            f"WHERE t.{self._group} = ? AND {where} ORDER BY t.newest DESC"
        )
        rows = connection.execute(sql, [*self._who(), burst, *values]).fetchall()
        return Rows(rows, more=False, clock=clock(connection))

    def changed(self, connection: sqlite3.Connection, after: int) -> Rows:
        """Return the rows in which something changed since the clock stood at `after`."""
        now = clock(connection)
        if now - after > FAR or after > now:  # or the database was made anew
            return Rows([], more=True, clock=now, far=True)
        where, values = self._where("t")
        groups = connection.execute(
            f"SELECT t.{self._group} AS row, max(t.newest) AS newest FROM threads t "  # noqa: S608 - our names only
            f"WHERE t.changed > ? AND {where} GROUP BY +t.{self._group} ORDER BY 2 DESC LIMIT {LIVE + 1}",
            [after, *values],
        ).fetchall()
        wanted = [group["row"] for group in groups[:LIVE]]
        condition = f"t.{self._group} IN ({', '.join('?' * len(wanted))})"
        rows = self._select(connection, condition, wanted, LIVE) if wanted else []
        touched = connection.execute(
            "SELECT id FROM threads WHERE changed > ? ORDER BY changed DESC LIMIT ?", (after, TOUCHED)
        ).fetchall()
        return Rows(rows, len(groups) > LIVE, now, self._gone(connection, after), tuple(row["id"] for row in touched))

    def unread(self, connection: sqlite3.Connection, up_to: int) -> list[int]:
        """Return the threads that match, newest first, and that the reader has not read, as the clock stood at `up_to`."""
        where, values = self._filters.where("t", indexed=False)
        sql = f"SELECT t.id FROM threads t WHERE t.newest <= ? AND {where} AND {_UNREAD.format('t')} ORDER BY t.newest DESC"  # noqa: S608 - our names only
        return [row["id"] for row in connection.execute(sql, [up_to, *values, self._reader, self._reader])]

    def _gone(self, connection: sqlite3.Connection, after: int) -> tuple[int, ...]:
        """Return rows of changed threads that are part of another row now, or match no longer."""
        found: set[int] = set()
        if not self._alone:
            moved = connection.execute(
                f"SELECT t.id FROM threads t WHERE t.changed > ? AND +t.{self._group} <> t.id LIMIT 500",  # noqa: S608 - our names only
                [after],
            )
            found.update(row["id"] for row in moved)
        if self._filters.active:
            where, values = self._where("m")
            left = connection.execute(
                f"SELECT DISTINCT +t.{self._group} AS row FROM threads t WHERE t.changed > ? AND NOT EXISTS "  # noqa: S608 - our names only
                f"(SELECT 1 FROM threads m WHERE m.{self._group} = t.{self._group} AND {where}) LIMIT 500",
                [after, *values],
            )
            found.update(row["row"] for row in left)
        return tuple(sorted(found))

    def _select(
        self, connection: sqlite3.Connection, condition: str, parameters: list[int], limit: int
    ) -> list[sqlite3.Row]:
        where, values = self._where("t", indexed="newest" in condition)
        members, member_values = self._where("m")
        same = f"m.{self._group} = t.{self._group} AND {members}"
        newest = "1" if self._alone else f"NOT EXISTS (SELECT 1 FROM threads m WHERE {same} AND m.newest > t.newest)"  # noqa: S608 - our names only
        inner = (
            f"SELECT t.id FROM threads t WHERE {condition} AND {where} AND {newest} "  # noqa: S608 - our names only
            f"ORDER BY t.newest DESC LIMIT {limit}"
        )
        unread = _UNREAD.format("t" if self._alone else "m") if self._reader else "1"
        if self._alone:
            columns, shown = f"1 AS members, {unread} AS unread, t.*", "t.id"
            bound: list[Any] = [*self._who(), *parameters, *values]
        else:
            columns = (
                f"(SELECT count(*) FROM threads m WHERE {same}) AS members, "  # noqa: S608 - our names only
                f"(SELECT count(*) FROM threads m WHERE {same} AND {unread}) AS unread, s.*"
            )
            shown = f"(SELECT m.id FROM threads m WHERE {same} ORDER BY m.urgency DESC, m.newest DESC LIMIT 1)"  # noqa: S608
            bound = [*member_values * 2, *self._who(), *member_values, *parameters, *values, *member_values]
        # Of two columns of one name the first counts: when something came is of the whole burst.
        sql = (
            f"SELECT t.newest, t.last_at, t.{self._group} AS row, {columns} FROM threads t "  # noqa: S608
            f"JOIN threads s ON s.id = {shown} WHERE t.id IN ({inner}) ORDER BY t.newest DESC"
        )
        return connection.execute(sql, bound).fetchall()

    def _who(self) -> list[str]:
        return [self._reader, self._reader] if self._reader else []

    def _where(self, thread: str, *, indexed: bool = False) -> tuple[str, list[str]]:
        where, values = self._filters.where(thread, indexed=indexed)
        if self._filters.state == "unread" and self._reader:
            where = f"{where} AND {_UNREAD.format(thread)}"
            values = [*values, self._reader, self._reader]
        return where, values


def clock(connection: sqlite3.Connection) -> int:
    """Return the clock's reading."""
    now: int = connection.execute("SELECT now FROM clock").fetchone()["now"]
    return now
