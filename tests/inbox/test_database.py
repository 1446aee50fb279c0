"""The file itself: its upgrade, and that SQLite looks up what the page asks where it is quick."""

import sqlite3

import pytest

from events.errors import NotReady
from inbox.database import VERSION, Database
from inbox.filters import Filters
from inbox.listing import Listing
from inbox.sweep import sweep
from tests.inbox.conftest import Inbox, alert, event


def shape(path):
    """Return tables with their columns, and indexes."""
    with sqlite3.connect(path) as connection:
        names = connection.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
        found = {
            name: [tuple(row[1:]) for row in connection.execute(f"PRAGMA {kind}_info({name})")] for kind, name in names
        }
        return found, connection.execute("PRAGMA user_version").fetchone()[0]


def as_version_1(path):
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "DROP INDEX threads_urgent; DROP INDEX seen_thread; ALTER TABLE threads DROP COLUMN urgent_at;"
            "PRAGMA user_version = 1"
        )


def test_a_file_of_version_1_is_upgraded_with_what_it_holds(tmp_path):
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    Database(new).close()
    made = Inbox(old)
    made.take(event(1), event(2, of=alert(2, urgency={"current_value": 90})))
    made.database.close()
    as_version_1(old)
    assert shape(old) != shape(new)
    again = Inbox(old)
    again.take(event(3))
    with again.database.reading() as connection:
        rows = connection.execute("SELECT title, urgent_at FROM threads ORDER BY id").fetchall()
    again.database.close()
    assert [tuple(row) for row in rows] == [("Alert 1", 0), ("Alert 2", 2), ("Alert 3", 0)]
    assert shape(old) == shape(new)
    assert shape(old)[1] == VERSION


def test_a_file_of_a_later_version_is_left_alone(tmp_path):
    path = tmp_path / "inbox.db"
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(NotReady, match="newer version"):
        Database(path)
    assert shape(path)[1] == VERSION + 1


def plans(connection, ask):
    """Return how SQLite goes about every statement that `ask` runs."""
    statements = []
    connection.set_trace_callback(statements.append)
    ask(connection)
    connection.set_trace_callback(None)
    selects = [each for each in statements if each.lstrip().startswith(("SELECT", "DELETE"))]
    assert selects
    return [row["detail"] for each in selects for row in connection.execute(f"EXPLAIN QUERY PLAN {each}")]


@pytest.mark.parametrize("filters", [Filters(), Filters(q="x"), Filters(community="c1"), Filters(group="entity")])
def test_the_page_reads_a_burst_by_its_own_index_and_never_all_of_a_level(inbox, filters):
    inbox.take(event(1), event(2))
    with inbox.database.reading() as connection:
        for ask in (lambda c: Listing(filters, "ana").page(c), lambda c: Listing(filters).changed(c, 1)):
            found = plans(connection, ask)
            assert not [each for each in found if "threads_level" in each]
            assert [each for each in found if f"threads_{filters.column}" in each]


def test_marks_of_a_thread_that_leaves_are_found_by_an_index(inbox):
    inbox.take(event(1))
    found = plans(inbox.database._writer, lambda _: sweep(inbox.database, before=2e9, keep=1, keep_bytes=1 << 40))
    assert [each for each in found if "seen" in each] == ["SEARCH seen USING COVERING INDEX seen_thread (thread=?)"]
