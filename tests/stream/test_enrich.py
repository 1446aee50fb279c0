"""How long an event waits for what it is completed with, and when it does not wait at all."""

import asyncio
import importlib.util
import inspect
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from events.codec import decode_enriched
from events.headers import RawHeaders
from events.records import WebhookEvent
from events.slots import Slots
from stream.alert_api import Unavailable
from stream.breaker import Breaker
from stream.budget import Budget
from stream.cache import Answer
from stream.compose import Enriched
from stream.enrich import GRACE, Enricher, needs_alert
from stream.fetching import NotFound
from stream.lookups import Exhausted, NotAsked
from stream.names import Names

_spec = importlib.util.spec_from_file_location("virtual_time", Path(__file__).with_name("virtual_time.py"))
virtual_time = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(virtual_time)

START = datetime(2026, 8, 1, tzinfo=UTC)
ALERT = str(uuid.UUID(int=1))


class Lookups:
    """Answers by a script: an exception or an alert, each after some seconds."""

    def __init__(self, *script, known=None):
        self.script, self._known = list(script), known
        self.asked, self.names_asked = [], []
        self.names, self.breaker, self.budget = Names(), Breaker(), Budget(Slots(4.5))

    def known(self, _uuid, since):
        return self._known if self._known and self._known.fetched_at >= since else None

    async def ask(self, _uuid, _since, wait, *, created=False):
        loop = asyncio.get_running_loop()
        self.asked.append((loop.time(), wait, created))
        seconds, result = self.script.pop(0) if self.script else (1000.0, None)
        await asyncio.sleep(seconds)
        if isinstance(result, Exception):
            raise result
        return result

    async def ask_names(self, names, wait):
        self.names_asked.append((names, wait))


def event(action="created", kind="alert", **attributes):
    return WebhookEvent(type=kind, action=action, attributes={"uuid": ALERT} | attributes)


def enrich(lookups, what=None, *, late=0.0):
    """Return the record and the seconds it took; `late` seconds after it was received."""

    async def scenario():
        loop = asyncio.get_running_loop()
        now = lambda: START + timedelta(seconds=loop.time())  # noqa: E731
        enricher = Enricher(lookups, "https://app", timedelta(seconds=3), now)
        headers = RawHeaders("c/1", "vendor", "d", START - timedelta(seconds=late))
        what_ = what or event()
        result = enricher.begin(what_, headers, "c/u" if what_.action == "created" else "")
        if inspect.iscoroutine(result):
            result = await result
        assert isinstance(result, Enriched)
        return decode_enriched(result.value), loop.time()

    return virtual_time.run(scenario())


def answer(at=START):
    return Answer(orjson.dumps({"title": "T", "uuid": ALERT}), at, "AL1")


def test_what_is_known_needs_no_wait_and_no_task():
    lookups = Lookups(known=answer())
    record, took = enrich(lookups)
    assert record.enrichment.status == "complete"
    assert record.alert["title"] == "T"
    assert took == 0
    assert not lookups.asked


def test_an_answer_from_before_the_event_is_not_used():
    lookups = Lookups((0.5, answer(START + timedelta(seconds=0.5))), known=answer(START - timedelta(microseconds=1)))
    record, took = enrich(lookups, event("updated"))
    assert took == 0.5
    assert record.enrichment.fetched_at == START + timedelta(seconds=0.5)


@pytest.mark.parametrize(
    "what",
    [
        event("deleted"),
        event(kind="content-proposal"),
        event(kind="case", short_id="CA1"),
        event(kind="rule"),
        event(uuid="1,2&match[community_uuid]=x"),
        event(kind="alert-comment"),
    ],
)
def test_nobody_is_asked_about_what_has_no_alert(what):
    lookups = Lookups()
    record, took = enrich(lookups, what)
    assert (record.enrichment.status, took) == ("not_applicable", 0)
    assert not lookups.asked


def test_a_comment_is_about_its_alert():
    assert needs_alert(event(kind="alert-comment", uuid="comment", alert_uuid=ALERT.upper())) == ALERT


def test_it_waits_until_its_deadline_and_then_goes_on_alone():
    record, took = enrich(Lookups(), late=1.0)
    assert took == pytest.approx(2.0)
    assert (record.enrichment.status, record.alert) == ("pending", None)


def test_what_was_late_when_it_came_still_gets_a_moment():
    assert enrich(Lookups(), late=1000.0)[1] == pytest.approx(GRACE)


@pytest.mark.parametrize("error", [Exhausted("request budget exhausted"), NotAsked("the breaker", 30.0)])
def test_when_nobody_can_answer_it_goes_on_at_once(error):
    lookups = Lookups((0.0, error), (0.0, answer()))
    if not isinstance(error, Exhausted):
        lookups.breaker.refuse(0.0, "401")
    record, took = enrich(lookups)
    assert took == 0
    assert record.enrichment.status == "pending"
    assert record.enrichment.reason == str(error)
    assert record.enrichment.attempts == 0, "nobody was asked"


def test_one_bad_answer_is_asked_again():
    record, took = enrich(Lookups((0.1, Unavailable("a 200 whose body is not JSON", counts=False)), (0.1, answer())))
    assert record.enrichment.status == "complete"
    assert took < 0.5


def test_an_alert_the_list_does_not_show_is_asked_for_again_after_two_seconds():
    lookups = Lookups((0.0, NotFound()), (0.0, answer()))
    record, took = enrich(lookups)
    assert (record.enrichment.status, record.enrichment.attempts) == ("complete", 2)
    assert took == 2.0
    assert lookups.asked[1][1] == pytest.approx(1.0), "what is left of its time"
    record, took = enrich(Lookups((0.0, NotFound()), (0.0, NotFound())))
    assert (record.enrichment.status, record.enrichment.reason) == ("pending", "not shown by the Alert API yet")
    assert took == 2.0, "another five seconds would be too late"


def test_a_new_alert_says_so():
    for action, created in (("created", True), ("updated", False)):
        lookups = Lookups((0.0, answer()))
        enrich(lookups, event(action))
        assert lookups.asked[0][2] is created
