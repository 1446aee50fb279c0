"""One record's way to one target, without clock, network or Kafka."""

import asyncio
import importlib.util
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from events.codec import encode
from events.errors import NotReady
from events.headers import DeadLetter
from events.records import EnrichedEvent, Enrichment, Receipt, WebhookEvent
from sinks.backoff import LONGEST, delay
from sinks.delivery import REFUSED_IN_A_ROW, Delivery
from sinks.destination import Delivered, TargetSettings, Unavailable, Undeliverable
from sinks.dispatch import Dispatch
from sinks.limits import Allowance, Budget, Limit
from sinks.outlet import ALERT, Outlet, named
from sinks.responses import allowance
from sinks.rules import Rule, Rules, Target
from sinks.window import Window, urgent

_spec = importlib.util.spec_from_file_location("hostile", Path(__file__).with_name("hostile.py"))
assert _spec
assert _spec.loader
hostile = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hostile)

NOW = datetime(2026, 7, 29, 8, 7, tzinfo=UTC)


class World:
    """A target that answers as told, a ledger that remembers, a clock that moves only while something waits."""

    named, at_once, marks_attempts = 3, 1, False

    def __init__(
        self,
        *answers: BaseException | Delivered,
        match: object = "all",
        budget: Budget | None = None,
        **settings: object,
    ) -> None:
        self.answers = list(answers)
        self.sent: list[str] = []
        self.waited: list[float] = []
        self.now = 0.0
        self.receipts: list[Receipt] = []
        self.letters: list[tuple[Any, DeadLetter]] = []
        self.order: list[str] = []
        self.marked: list[int] = []
        self.held: set[tuple[str, int]] = set()
        rule = Rule.model_validate({"name": "r", "match": match, "notify": "t"} | settings)
        rules = Rules([rule], {"t": Target("t", "x", TargetSettings())}, "v1")
        self.outlet = Outlet("t", self, budget, monotonic=lambda: self.now, clock=lambda: NOW, chance=random.Random(1))
        self.delivery = Delivery(rules, self, self.outlet)
        self.dispatch = Dispatch(self.delivery, self)

    async def deliver(self, event: EnrichedEvent) -> Delivered:
        self.sent.append(event.event_id)
        answer = self.answers.pop(0) if self.answers else Delivered("HTTP 202", "run-1", "accepted")
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def write(self, _record: Any, receipt: Receipt) -> None:
        self.order.append("receipt")
        self.receipts.append(receipt)

    async def write_all(self, receipts: list[tuple[Any, Receipt]]) -> None:
        self.receipts += [receipt for _, receipt in receipts]

    async def bury(self, record: Any, letter: DeadLetter) -> None:
        self.order.append("letter")
        self.letters.append((record, letter))

    def holds(self, _record: Any, event_id: str, revision: int, _job: str | None = None) -> bool:
        return (event_id, revision) in self.held

    async def pause(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds

    async def confirm(self, records: Any, *, mark: bool = False) -> None:
        assert {record.partition for record in records} == {3}
        self.marked += [record.offset for record in records] if mark else []

    def handle(self, *values: bytes | None) -> list[str]:
        """Bring the values to their end, one after another."""

        async def scenario() -> list[str]:
            window, ended = Window(1000, 10**9), []
            for offset, value in enumerate(values):
                window.add(record(value, offset), urgent=urgent(value))
                while len(window) or not self.dispatch.idle:
                    ended += await self.dispatch.step(window)
            return [one.handled for one in ended]

        return asyncio.run(scenario())


def record(value: bytes | None, offset: int = 0) -> Any:
    return SimpleNamespace(
        topic="tocsin.enriched.v1", partition=3, offset=offset, timestamp=0, key=b"k", value=value, headers=()
    )


EVENT = hostile.event()
VALUE = encode(EVENT)
TARGET = Target("t", "x", TargetSettings())


def test_taken_has_a_receipt():
    world = World()
    assert world.handle(VALUE) == ["settled"]
    (receipt,) = world.receipts
    assert receipt.outcome == "accepted"
    assert (receipt.event_id, receipt.revision, receipt.target, receipt.alert) == ("e1", 0, "t", EVENT.event.alert_uuid)
    assert (receipt.attempts, receipt.status, receipt.run_id, receipt.rules) == (1, "HTTP 202", "run-1", ("r",))
    assert receipt.rules_version == "v1"
    assert receipt.latency == 3.0


def test_away_is_waited_for_and_never_buried():
    away = [Unavailable("HTTP 503") for _ in range(50)]
    world = World(*away)
    assert world.handle(VALUE) == ["settled"]
    assert len(world.sent) == 51
    assert sum(world.waited) > 900
    assert world.letters == []
    assert world.receipts[0].attempts == 51


def test_what_the_target_asks_for_is_waited():
    world = World(Unavailable("HTTP 429", retry_after=120))
    world.handle(VALUE)
    assert 120 <= sum(world.waited) <= 121


def test_what_is_tried_again_can_be_asked_for_until_it_is_taken():
    world = World(Unavailable("HTTP 429", retry_after=120), Unavailable("HTTP 503", retry_after=5))
    seen, waited = [], world.pause

    async def pause(seconds):
        if world.outlet.retry not in seen:
            seen.append(world.outlet.retry)
        await waited(seconds)

    world.pause = pause
    world.handle(VALUE)
    assert [(retry.event_id, retry.attempts, retry.reason) for retry in seen] == [
        ("e1", 1, "HTTP 429"),
        ("e1", 2, "HTTP 503"),
    ]
    for retry, asked in zip(seen, (120, 5), strict=True):
        assert asked <= (retry.next_at - NOW).total_seconds() <= asked + 0.5
    assert world.outlet.retry is None


def test_refused_is_buried_with_reason_and_origin_before_its_receipt():
    world = World(Unavailable("HTTP 500"), Undeliverable("HTTP 400: no"))
    with capture_logs() as logs:
        assert world.handle(VALUE) == ["settled"]
    ((buried, letter),) = world.letters
    assert buried.value == VALUE
    assert (letter.stage, letter.target, letter.reason) == ("sink", "t", "HTTP 400: no")
    assert (letter.source_topic, letter.source_partition, letter.source_offset) == ("tocsin.enriched.v1", 3, 0)
    assert letter.attempts == 2
    assert world.order == ["letter", "receipt"]
    receipt = world.receipts[0]
    assert receipt.outcome == "dead_letter"
    assert [line["event"] for line in logs] == ["target_unavailable", "target_available", "dead_letter"]
    for line in (logs[0], logs[2]):
        assert (line["event_id"], line["alert"], line["target"]) == (receipt.event_id, receipt.alert, "t")


def test_a_log_line_names_an_event_and_no_more_of_an_alert_than_an_id_is_long():
    about = WebhookEvent(type="alert", action="created", attributes={"uuid": "x\n\x1b[2J" + "y" * 10_000})
    event = EnrichedEvent(event_id="e", received_at=NOW, event=about, enrichment=Enrichment(status="pending"))
    found = named(event)
    assert found["event_id"] == "e"
    assert found["alert"].isprintable()
    assert len(found["alert"]) == ALERT
    test = WebhookEvent(type="test", action="sent")
    assert named(event.model_copy(update={"event": test})) == {"event_id": "e"}


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[]", b"{}", b'{"event_id": 1}', VALUE[:-1]])
def test_what_is_no_event_is_buried_and_not_sent(value):
    world = World()
    assert world.handle(value) == ["settled"]
    assert world.sent == []
    ((_, letter),) = world.letters
    assert letter.reason.startswith("malformed: ")
    assert world.receipts[0].event_id == "tocsin.enriched.v1/3/0"


def test_unmatched_has_no_receipt():
    world = World(match={"type": "case"})
    assert world.handle(VALUE) == ["unmatched"]
    assert (world.sent, world.receipts, world.letters) == ([], [], [])


def test_what_comes_at_a_muted_time_has_a_receipt_and_is_not_sent():
    world = World(mute={"days": "wed"})
    assert (
        world.handle(VALUE, encode(EVENT.model_copy(update={"received_at": NOW + timedelta(days=1)})))
        == ["settled"] * 2
    )
    muted, told = world.receipts
    assert (muted.outcome, muted.status, muted.rules, muted.attempts) == ("muted", "r: mute", ("r",), 0)
    assert (told.outcome, told.received_at) == ("accepted", NOW + timedelta(days=1))
    assert world.sent == ["e1"]
    world.held.add(("e1", 0))
    assert world.handle(VALUE) == ["spared"]


def test_what_has_a_receipt_is_not_sent_again():
    world = World()
    world.held.add(("e1", 0))
    completed = encode(EVENT.model_copy(update={"revision": 1}))
    assert world.handle(VALUE) == ["spared"]
    assert world.sent == []
    assert world.handle(completed) == ["unmatched"], "a completion nobody waited for"


def test_a_completion_tells_those_whom_the_pending_form_did_not_reach():
    skip = Rule.model_validate({"name": "r", "match": {"urgency": ">= 70"}, "notify": "t", "when_unknown": "skip"})
    rules = Rules([skip], {"t": Target("t", "x", TargetSettings())}, "v1")
    pending = EVENT.model_copy(update={"alert": None, "enrichment": Enrichment(status="pending")})
    assert not rules.decide(pending, "t").notify
    assert rules.decide(EVENT.model_copy(update={"revision": 1}), "t").notify


def test_refusals_in_a_row_stop_it_and_one_delivery_forgives():
    refusals = [Undeliverable("HTTP 400") for _ in range(REFUSED_IN_A_ROW - 1)]
    world = World(*refusals, Delivered("HTTP 202"), *refusals, Undeliverable("HTTP 418: teapot"))
    world.handle(*[VALUE] * (REFUSED_IN_A_ROW - 1))
    world.delivery.check()
    world.handle(VALUE)
    world.handle(*[VALUE] * (REFUSED_IN_A_ROW - 1))
    world.delivery.check()
    world.handle(VALUE)
    with pytest.raises(NotReady, match=r"refused 20 events in a row.*teapot"):
        world.delivery.check()


def test_what_nobody_expects_ends_it_without_a_receipt():
    world = World(RuntimeError("a bug"))
    with pytest.raises(RuntimeError):
        world.handle(VALUE)
    assert (world.receipts, world.letters) == ([], [])


@given(st.integers(1, 10**9), st.one_of(st.none(), st.floats(0, 3600)), st.randoms(use_true_random=False))
def test_the_wait_is_bounded_and_never_shorter_than_asked(attempt, retry_after, chance):
    seconds = delay(attempt, retry_after, chance)
    assert seconds > 0 or retry_after == 0
    assert seconds <= LONGEST if retry_after is None else retry_after <= seconds <= retry_after + 0.5


def test_a_limit_is_kept_before_it_is_hit():
    world = World(budget=Budget((Limit(2, 300),)))
    world.handle(VALUE, VALUE, VALUE)
    assert sum(world.waited) == 300
    assert len(world.receipts) == 3


def test_the_whole_connection_waits_for_what_one_of_its_targets_was_told():
    budget = Budget(())
    left = Delivered("HTTP 200", left=Allowance(10, 0, 100.0))
    world = World(Unavailable("HTTP 429", retry_after=120), left, budget=budget)
    attempt = world.outlet.attempt
    seen = []

    async def watched(event: EnrichedEvent) -> object:
        result = await attempt(event)
        seen.append(budget.wait(world.now, urgent=True))
        return result

    world.outlet.attempt = watched
    world.handle(VALUE)
    assert 120 <= seen[0] <= 121
    assert seen[1] == pytest.approx(10), "the answer said that nothing is left"


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"limit": "101", "remaining": "3", "reset": "10"}, Allowance(101, 3, 10.0)),
        ({"limit": "101", "remaining": "3"}, None),
        ({"limit": "1e9", "remaining": "3", "reset": "10"}, None),
        ({"limit": "10", "remaining": "11", "reset": "10"}, None),
        ({"limit": "10", "remaining": "-1", "reset": "10"}, None),
        ({"limit": "10", "remaining": "1", "reset": "99999"}, None),
    ],
)
def test_what_the_headers_say_is_believed_only_when_it_makes_sense(headers, said):
    assert allowance({f"x-ratelimit-{name}": value for name, value in headers.items()}) == said
