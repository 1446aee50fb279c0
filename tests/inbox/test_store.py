"""The store: nothing doubled, threads and bursts folded, pages that join without a gap."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random

import pytest

from events.codec import encode
from events.errors import NotReady
from events.records import Receipt
from inbox import detail, notification
from inbox.database import Database
from inbox.filters import Filters
from inbox.listing import Listing
from inbox.store import Batch, Store, Superseded
from inbox.sweep import LONGEST_THREAD, sweep
from tests.inbox.conftest import NOW, PLACE, Inbox, alert, event

PLENTY, LITTLE = 1 << 40, 4 << 20
"""Bytes."""
ROOT = Path(__file__).parents[2]


def rows(inbox, **filters):
    with inbox.database.reading() as connection:
        return Listing(Filters(**filters)).page(connection).rows


def titles(inbox, **filters):
    return [row["title"] for row in rows(inbox, **filters)]


def test_newest_first_and_one_row_per_alert(inbox):
    inbox.take(event(1), event(2), event(1, action="updated", at=5, given={"updated": {"similar": 3}}))
    assert titles(inbox) == ["Alert 1", "Alert 2"]
    first = rows(inbox)[0]
    assert (first["count"], first["headline"], first["types"]) == (2, "3 similar events", ",alert,")


def test_an_event_read_twice_is_one(inbox):
    inbox.take(event(1), event(1))
    assert rows(inbox)[0]["count"] == 1


def test_completion_fills_in_and_does_not_come_first_again(inbox):
    inbox.take(event(1, status="pending", event_id="x"), event(2, at=1))
    assert titles(inbox) == ["Alert 2", ""]
    inbox.take(event(1, event_id="x", revision=1))
    assert titles(inbox) == ["Alert 2", "Alert 1"]
    assert [row["pending"] for row in rows(inbox)] == ["", ""]
    assert rows(inbox)[1]["count"] == 1


def test_what_is_known_stays_when_an_update_brings_nothing(inbox):
    inbox.take(event(1), event(1, action="updated", at=1, status="pending"))
    row = rows(inbox)[0]
    assert (row["title"], row["rule"], row["level"]) == ("Alert 1", "Rule 1", "high")
    assert row["pending"]


def test_burst_of_a_rule_is_one_row_that_opens(inbox):
    same = {"rule": {"name": "Noisy"}}
    inbox.take(*(event(n, at=n, of=alert(n, **same, urgency={"current_value": n * 10})) for n in range(1, 6)))
    inbox.take(event(9, at=10))
    assert titles(inbox) == ["Alert 9", "Alert 5"]
    burst = rows(inbox)[1]
    assert (burst["members"], burst["urgency"]) == (5, 50)
    with inbox.database.reading() as connection:
        members = Listing(Filters()).members(connection, burst["row"]).rows
    assert [row["title"] for row in members] == [f"Alert {n}" for n in (5, 4, 3, 2, 1)]
    assert len(titles(inbox, group="none")) == 6
    assert len(titles(inbox, group="entity")) == 1
    assert rows(inbox, urgency=("low",))[0]["members"] == 1


def test_a_burst_stands_by_its_newest_and_shows_its_most_urgent(inbox):
    levels = (None, 92, 40, 92, 66, None)
    noisy = [alert(n, rule={"name": "Noisy"}, urgency={"current_value": level}) for n, level in enumerate(levels, 1)]
    inbox.take(*(event(n, at=n, of=of) for n, of in enumerate(noisy, 1)))
    burst = rows(inbox)[0]
    assert (burst["title"], burst["urgency"], burst["members"]) == ("Alert 4", 92, 6)
    assert (burst["newest"], burst["last_at"], burst["row"]) == (6, NOW.timestamp() + 6, 1)
    assert rows(inbox, urgency=("major", "high"))[0]["title"] == "Alert 5"
    inbox.take(event(9, at=9, of=alert(9, rule={"name": "Noisy"}, urgency={"current_value": 92})))
    assert rows(inbox)[0]["title"] == "Alert 9"


def test_bursts_end_and_do_not_cross_tenants(inbox):
    noisy = {"rule": {"name": "Noisy"}}
    inbox.take(event(1, of=alert(1, **noisy)), event(2, at=901, of=alert(2, **noisy)))
    inbox.take(event(3, at=902, of=alert(3, **noisy), community="c2"))
    inbox.take(event(4, at=903, of=alert(4, **noisy), tenant="other"))
    assert [row["members"] for row in rows(inbox)] == [1, 1, 1, 1]


def test_pages_join_without_gap_or_repeat(inbox):
    inbox.take(*(event(n, at=n, of=alert(n, rule={"name": f"R{n % 30}"})) for n in range(400)))
    for filters in (Filters(), Filters(group="none"), Filters(group="entity"), Filters(q="alert 1", group="none")):
        seen, before = [], None
        while True:
            with inbox.database.reading() as connection:
                page = Listing(filters).page(connection, before)
            seen += [row["newest"] for row in page.rows]
            if not page.more:
                break
            before = seen[-1]
        with inbox.database.reading() as connection:
            threads = connection.execute("SELECT * FROM threads ORDER BY newest DESC").fetchall()
        expected = {}
        for thread in threads:
            if all(word in thread["search"] for word in filters.q.split()):
                expected.setdefault(thread[filters.column], thread["newest"])
        assert seen == list(expected.values())


def test_filters_narrow(inbox):
    inbox.take(
        event(1, of=alert(1, urgency={"current_value": 90}, entity={"name": "Paris"})),
        event(2, of=alert(2, status={"name": "Closed"}), community="c2"),
        event(2, type_="alert-comment", of=alert(2, status={"name": "Closed"}), community="c2"),
        event(3, type_="case", given={"title": "A case"}, status="not_applicable"),
    )
    assert titles(inbox, urgency=("urgent",)) == ["Alert 1"]
    assert titles(inbox, urgency=("unknown",)) == ["A case"]
    assert titles(inbox, type="alert-comment") == titles(inbox, status="Closed") == ["Alert 2"]
    assert titles(inbox, community="c2") == ["Alert 2"]
    assert titles(inbox, entity="Paris", rule="Rule 1") == ["Alert 1"]
    assert titles(inbox, q="PARIS alert") == ["Alert 1"]
    assert titles(inbox, q="100% ' OR 1=1 --") == []


def changed(inbox, after, **filters):
    with inbox.database.reading() as connection:
        return Listing(Filters(**filters)).changed(connection, after)


def test_changes_tell_what_came_what_moved_and_what_left(inbox):
    inbox.take(event(1, of=alert(1, rule={"name": "Noisy"})), event(2, status="pending", event_id="two"))
    clock = changed(inbox, 0).clock
    inbox.take(event(2, of=alert(2, rule={"name": "Noisy"}), event_id="two", revision=1))
    it = changed(inbox, clock)
    assert [row["members"] for row in it.rows] == [2]
    assert it.gone == (2,)
    inbox.take(event(1, action="updated", at=3, of=alert(1, status={"name": "Closed"})))
    assert changed(inbox, it.clock, status="Pending", group="none").gone == (1,)
    assert changed(inbox, changed(inbox, 0).clock).rows == []


def test_who_is_far_behind_loads_the_page_anew(inbox):
    inbox.take(*(event(n, at=n) for n in range(2001)))
    assert changed(inbox, 0).far
    assert not changed(inbox, 1).far
    assert changed(inbox, 10**9).far


def test_detail_folds_events_and_receipts(inbox):
    inbox.take(event(1, event_id="a"), event(1, type_="alert-comment", at=9, given={"content": "Looking"}))
    receipt = Receipt(event_id="a", target="soc-teams", outcome="delivered", rules=("urgent",), latency=0.4)
    inbox.store.take(Batch(receipts=[(receipt, NOW.timestamp())]))
    number = rows(inbox)[0]["id"]
    with inbox.database.reading() as connection:
        found = detail.find(connection, number)
        assert detail.find(connection, 99) is None
    assert [entry["headline"] for entry in found.timeline] == ["Comment", "Alert raised"]
    assert [(each["target"], each["rules"]) for each in found.deliveries] == [("soc-teams", "urgent")]
    assert found.record["event"]["type"] == "alert-comment"


def test_detail_keeps_the_alert_while_the_newest_event_waits_for_it(inbox):
    inbox.take(event(1), event(1, type_="alert-comment", at=9, status="pending", given={"content": "Looking"}))
    with inbox.database.reading() as connection:
        found = detail.find(connection, 1)
    assert detail.description(found) == "It happened."
    assert ("Rule", "Rule 1", "rule") in detail.facts(found)
    assert found.record["event"]["type"] == "alert-comment"


def test_a_thread_knows_when_it_became_urgent(inbox):
    worse = alert(1, urgency={"current_value": 90})
    inbox.take(event(1), event(1, action="updated", at=1, of=worse), event(1, action="updated", at=2, of=worse))
    assert rows(inbox)[0]["urgent_at"] == 2
    inbox.take(event(2, status="pending", event_id="two"))
    inbox.take(event(2, event_id="two", revision=1, of=alert(2, urgency={"current_value": 90})))
    assert [row["urgent_at"] for row in rows(inbox)] == [5, 2]


def test_offsets_and_rows_are_one(inbox, tmp_path):
    inbox.take(event(1))
    rival = Store(Database(tmp_path / "inbox.db"), 900)
    inbox.take(event(2))
    late = event(3)
    with pytest.raises(Superseded):
        rival.take(Batch([(notification.read(late), encode(late))], positions={PLACE: (1, 2)}))
    assert len(titles(inbox)) == 2
    assert inbox.store.positions() == {PLACE: 2}


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.inbox.conftest import Inbox, event, PLACE
inbox = Inbox(Path(sys.argv[1]))
while True:
    offset = inbox.store.positions()[PLACE]
    inbox.take(*(event(n, at=n, event_id=f"offset {n}") for n in range(offset, offset + 7)))
"""


def test_kill_9_doubles_and_loses_nothing(tmp_path):
    path = tmp_path / "inbox.db"
    before = 0
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(ROOT)], cwd=ROOT)
        deadline = time.monotonic() + 60
        offset = before
        while offset < before + 70 and time.monotonic() < deadline:
            time.sleep(0.02)
            if path.exists():
                database = Database(path)
                offset = Store(database, 0).positions().get(PLACE, 0)
                database.close()
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        inbox = Inbox(path)
        before = inbox.store.positions()[PLACE]
        with inbox.database.reading() as connection:
            ids = [row[0] for row in connection.execute("SELECT event_id FROM notifications ORDER BY id")]
            (count,) = connection.execute("SELECT sum(count) FROM threads").fetchone()
        inbox.database.close()
        assert ids == [f"offset {n}" for n in range(before)]
        assert count == before
    assert before >= 210


def test_retention_bounds_age_number_and_length(inbox):
    inbox.take(*(event(n, at=n) for n in range(1100)))
    inbox.take(event(1, at=5000))
    assert sweep(inbox.database, before=NOW.timestamp() + 100, keep=10_000, keep_bytes=PLENTY) == 99
    assert sweep(inbox.database, before=0, keep=500, keep_bytes=PLENTY) == 502
    assert rows(inbox)[0]["title"] == "Alert 1"
    with inbox.database.reading() as connection:
        tables = ("notifications", "bodies")
        left = [connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables]  # noqa: S608
    assert left == [500, 500]
    inbox.take(*(event(1, action="updated", at=6000 + n) for n in range(LONGEST_THREAD + 5)))
    sweep(inbox.database, before=0, keep=10_000, keep_bytes=PLENTY)
    with inbox.database.reading() as connection:
        query = "SELECT count(*) FROM notifications WHERE thread = (SELECT id FROM threads ORDER BY newest DESC)"
        assert connection.execute(query).fetchone()[0] == LONGEST_THREAD


def test_retention_bounds_the_bytes_too_and_the_newest_stay(inbox):
    inbox.take(*(event(n, at=n, of=alert(n, details=Random(n).randbytes(10_000).hex())) for n in range(400)))
    left = sweep(inbox.database, before=0, keep=10_000, keep_bytes=LITTLE)
    assert 50 <= left < 400
    assert sweep(inbox.database, before=0, keep=10_000, keep_bytes=LITTLE) == 0
    with inbox.database.reading() as connection:
        (oldest,) = connection.execute("SELECT min(received_at) FROM notifications").fetchone()
        (newest,) = connection.execute("SELECT max(received_at) FROM notifications").fetchone()
    assert (newest, oldest) == (NOW.timestamp() + 399, NOW.timestamp() + left)


def test_threads_that_come_and_go_leave_no_connections(inbox):
    def look():
        with inbox.database.reading() as connection:
            connection.execute("SELECT 1 FROM threads").fetchall()

    look()
    before = len(inbox.database._opened)
    for _ in range(20):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert len(inbox.database._opened) == before


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "x.db").write_text("no database, " * 100)
    with pytest.raises(NotReady, match="INBOX_DATABASE"):
        Database(tmp_path / "x.db")
