"""Live messages and marks, over HTTP: nothing is missed between two connections."""

import asyncio
import re
import sqlite3
import time
from collections.abc import Iterator

import httpx
import orjson
import pytest

from events.records import Receipt
from inbox import links
from inbox.access import COOKIE
from inbox.filters import Filters
from inbox.listing import LIVE
from inbox.live import Live
from inbox.rendering import Pages
from tests.inbox.conftest import alert, event
from tests.inbox.site import Site

OURS = {"X-Tocsin": "page"}


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


class Stream:
    """One open page's stream."""

    def __init__(self, site, query="", **headers):
        self._client = httpx.Client(timeout=20)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self._context = self._client.stream("GET", f"{site.url}/live?{query}", headers=names)
        self.lines = self._context.__enter__().iter_lines()

    def next(self, wanted="rows"):
        """Return the next message of a kind, its data and id."""
        name, number = "", 0
        for line in self.lines:
            key, _, value = line.partition(": ")
            if key == "event":
                name = value
            elif key == "id":
                number = int(value)
            elif key == "data" and name == wanted:
                return orjson.loads(value), number
        raise AssertionError("the stream ended")

    def close(self):
        self._context.__exit__(None, None, None)
        self._client.close()


def test_what_comes_is_told_and_a_break_is_made_up_for(site):
    site.take(event(1))
    stream = Stream(site)
    first, clock = stream.next()
    assert 'id="row-1"' in first["html"]
    site.take(event(2))
    told, clock = stream.next()
    assert 'id="row-2"' in told["html"]
    assert 'id="row-1"' not in told["html"]
    stream.close()
    site.take(event(3), event(4))
    again = Stream(site, "after=0", Last_Event_ID=str(clock))
    missed, _ = again.next()
    assert [f'id="row-{n}"' in missed["html"] for n in (2, 3, 4)] == [False, True, True]
    again.close()


def test_filters_hold_for_what_comes(site):
    urgent = Stream(site, "urgency=urgent")
    urgent.next()
    site.take(event(1), event(2, of=alert(2, urgency={"current_value": 95})))
    told, _ = urgent.next()
    assert "Alert 2" in told["html"]
    assert "Alert 1" not in told["html"]
    site.take(event(2, action="updated", at=1, of=alert(2, urgency={"current_value": 5})))
    assert urgent.next()[0] == {"html": "", "gone": urgent_gone(site), "more": False, "urgent": None, "threads": [2]}
    urgent.close()


def urgent_gone(site):
    with site.inbox.database.reading() as connection:
        return [connection.execute("SELECT by_rule FROM threads WHERE title = 'Alert 2'").fetchone()[0]]


def test_a_flood_is_told_in_part_and_far_behind_starts_anew(site):
    stream = Stream(site)
    stream.next()
    site.take(*(event(n, at=n) for n in range(LIVE + 20)))
    told, clock = stream.next()
    assert told["more"]
    assert told["html"].count("<li") == LIVE
    stream.close()
    site.take(*(event(n, at=n) for n in range(100, 2300)))
    behind = Stream(site, f"after={clock}")
    assert behind.next("reset")[0]["clock"] > 2000
    behind.close()


URGENT = {"urgency": {"current_value": 95}}


def rings(message):
    return [each["title"] for each in message["urgent"]["alerts"]] if message["urgent"] else []


def test_urgent_ones_are_told_whatever_the_filters_and_the_flood(site):
    stream = Stream(site, "community=other")
    _, clock = stream.next()
    site.take(event(1, at=1, of=alert(1, **URGENT)), *(event(n, at=n) for n in range(10, LIVE + 20)))
    told, _ = stream.next()
    assert (told["html"], rings(told), told["urgent"]["count"]) == ("", ["Alert 1"], 1)
    site.take(event(2), event(2, action="updated", at=1, of=alert(2, **URGENT)))
    told, last = stream.next()
    assert rings(told) == ["Alert 2"]
    site.take(event(2, type_="alert-comment", at=2, of=alert(2, **URGENT)))
    assert rings(stream.next()[0]) == []
    stream.close()
    site.take(*(event(n, at=n) for n in range(100, 2300)))
    behind = Stream(site, f"after={clock}")
    assert rings(behind.next("reset")[0]) == ["Alert 2", "Alert 1"]
    behind.close()
    loaded_anew = Stream(site, f"after={last + 2000}&rung={clock}")
    assert rings(loaded_anew.next()[0]) == ["Alert 2", "Alert 1"]
    loaded_anew.close()


def test_mark_all_in_a_view_spares_what_the_view_hides(site):
    httpx.get(site.url)
    site.take(event(1, of=alert(1, **URGENT)), event(2), event(3), event(4))
    stream = Stream(site)
    stream.next()
    httpx.post(site.url + "/read-all?urgency=high", json={"clock": 3}, headers=OURS)
    assert stream.next("seen")[0] == {"threads": [3, 2], "read": True, "until": 3, "more": False}
    unread = httpx.get(site.url + "/rows?state=unread").json()
    assert [f"Alert {n}" in unread["html"] for n in (1, 2, 3, 4)] == [True, False, False, True]
    assert unread["unread"] == 2
    stream.close()


def test_marks_are_per_reader_and_reach_the_other_tabs(site):
    httpx.get(site.url)
    site.take(event(1), event(2), event(3))
    stream = Stream(site)
    count = stream.next("unread")[0]["count"]
    assert httpx.post(site.url + "/read", json={"thread": 1, "clock": 3}, headers=OURS).status_code == 204
    assert stream.next("seen")[0] == {"threads": [1], "read": True, "until": 3}
    assert stream.next("unread")[0]["count"] == count - 1
    httpx.post(site.url + "/read", json={"thread": 1, "clock": 3, "read": False}, headers=OURS)
    assert stream.next("unread")[0]["count"] == count
    httpx.post(site.url + "/read-all", json={"clock": 3}, headers=OURS)
    assert stream.next("unread")[0]["count"] == 0
    site.take(event(1, action="updated", at=9))
    assert stream.next("unread")[0]["count"] == 1
    stream.close()


def test_mark_all_spares_what_came_after_the_page_was_drawn(site):
    httpx.get(site.url)
    site.take(event(1), event(2))
    httpx.post(site.url + "/read-all", json={"clock": 1}, headers=OURS)
    assert httpx.get(site.url + "/rows").json()["unread"] == 1
    assert "Alert 2" in httpx.get(site.url + "/rows?state=unread").json()["html"]
    assert "Alert 1" not in httpx.get(site.url + "/rows?state=unread").json()["html"]


def test_a_whole_burst_is_marked(site):
    httpx.get(site.url)
    noisy = {"rule": {"name": "Noisy"}}
    site.take(*(event(n, at=n, of=alert(n, **noisy)) for n in range(1, 6)))
    assert httpx.get(site.url + "/rows").json()["unread"] == 5
    assert httpx.post(site.url + "/bursts/1/read", json={"clock": 5}, headers=OURS).status_code == 204
    assert httpx.get(site.url + "/rows").json()["unread"] == 0


def test_what_came_after_the_alert_was_drawn_is_not_read_with_it(site):
    httpx.get(site.url)
    site.take(event(1), event(2))
    drawn = int(re.search(r'data-newest="(\d+)"', httpx.get(site.url + "/threads/1").text)[1])
    site.take(event(1, type_="alert-comment", at=9))
    mark = {"thread": 1, "clock": drawn}
    httpx.post(site.url + "/read", json=mark, headers=OURS)
    assert httpx.get(site.url + "/rows").json()["unread"] == 2
    httpx.post(site.url + "/read", json=mark | {"clock": 3}, headers=OURS)
    httpx.post(site.url + "/read", json=mark, headers=OURS)
    assert httpx.get(site.url + "/rows").json()["unread"] == 1
    httpx.post(site.url + "/read-all", json={"clock": 3}, headers=OURS)
    httpx.post(site.url + "/read", json={"thread": 1, "clock": drawn}, headers=OURS)
    assert httpx.get(site.url + "/rows").json()["unread"] == 0


def test_what_came_after_a_burst_was_drawn_is_not_read_with_it(site):
    httpx.get(site.url)
    site.take(*(event(n, at=n, of=alert(n, rule={"name": "Noisy"})) for n in range(1, 6)))
    httpx.post(site.url + "/bursts/1/read", json={"clock": 4}, headers=OURS)
    assert httpx.get(site.url + "/rows").json()["unread"] == 1


def test_a_change_names_its_thread_whatever_the_filters_show(site):
    site.take(event(1), event(2))
    stream = Stream(site, "urgency=urgent")
    stream.next()
    site.take(event(1, type_="alert-comment", at=9))
    told, _ = stream.next()
    assert (told["html"], told["threads"]) == ("", [1])
    stream.close()


def test_a_page_that_stops_listening_is_forgotten(site):
    streams = [Stream(site) for _ in range(3)]
    for stream in streams:
        stream.next()
        stream.close()
    deadline = time.monotonic() + 20
    while site.live._channels and time.monotonic() < deadline:
        site.take()
        time.sleep(0.05)
    assert not site.live._channels


def test_a_link_taken_back_ends_what_was_opened_with_it(site, monkeypatch):
    monkeypatch.setattr("inbox.live.RECHECK", 0)
    with site.inbox.database.writing() as connection:
        token = links.add(connection, "ada")
    site.take(event(1))
    stream = Stream(site, Cookie=f"{COOKIE}={token}")
    stream.next()
    with site.inbox.database.writing() as connection:
        links.revoke(connection, "ada")
        links.add(connection, "bob")
    site.take(event(2, of=alert(2, title="Not for Ada")))
    assert "Not for Ada" not in "".join(stream.lines)
    stream.close()


def test_an_open_alert_is_told_of_its_receipts(site):
    site.take(event(1, event_id="a"), event(2, event_id="b"))
    stream = Stream(site)
    stream.next()
    receipts = [Receipt(event_id=each, target="soc", outcome="delivered") for each in ("b", "of another inbox")]
    site.deliver(*receipts)
    assert stream.next("delivered")[0] == {"threads": [2]}
    stream.close()


def test_silence_is_told_from_a_quiet_night(site, monkeypatch):
    monkeypatch.setattr("inbox.live.HEARTBEAT", 0.01)
    stream = Stream(site)
    assert stream.next("beat")[0] == {"trouble": None}
    site.trouble = "Kafka has not answered for a while"
    while (told := stream.next("beat")[0])["trouble"] is None:
        pass
    assert told == {"trouble": "Kafka has not answered for a while"}
    stream.close()


def test_a_channel_that_breaks_ends_the_process_instead_of_looking_live(inbox, monkeypatch):
    def broken(*_):
        raise sqlite3.DatabaseError("database disk image is malformed")

    async def scenario():
        live = Live(inbox.database, Pages())
        stream = live.stream(Filters(), "ada", 0)
        for _ in range(3):
            await anext(stream)
        monkeypatch.setattr("inbox.live.Listing.changed", broken)
        live.wake()
        async with asyncio.timeout(20):
            await live.watch()

    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        asyncio.run(scenario())


def test_a_new_view_costs_the_loop_no_page(site, monkeypatch):
    site.take(event(1))

    def page(*_, **__):
        raise AssertionError("a page was read to open a stream")

    monkeypatch.setattr("inbox.listing.Listing.page", page)
    stream = Stream(site, "q=alert")
    assert 'id="row-1"' in stream.next()[0]["html"]
    stream.close()


def test_a_record_can_be_had_whole(site):
    site.take(event(1))
    answer = httpx.get(site.url + "/raw/1")
    assert answer.json()["event"]["type"] == "alert"
    assert "attachment" in answer.headers["content-disposition"]
    assert httpx.get(site.url + "/raw/9").status_code == 404
    assert httpx.get(site.url + "/threads/9").status_code == 404
