"""Whatever comes when: nothing is lost or told twice, order per alert, no limit exceeded, the urgent first."""

import asyncio
import importlib.util
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.codec import encode
from events.errors import NotReady
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sinks.destination import Delivered, TargetSettings, Unavailable, Undeliverable
from sinks.dispatch import Dispatch
from sinks.limits import Budget, Limit
from sinks.outlet import Outlet
from sinks.rules import Rule, Rules, Target
from sinks.standby import Standby
from sinks.summary import summarise
from sinks.window import Window, urgent

_spec = importlib.util.spec_from_file_location("sinks_world", Path(__file__).with_name("test_delivery.py"))
assert _spec
assert _spec.loader
world = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(world)

TEAMS = (Limit(25, 300, reserve=5), Limit(2000, 86_400, reserve=200))
BASE = datetime(2026, 7, 29, 8, 0, tzinfo=UTC)


def event(number: int, alert: str, urgency: int) -> EnrichedEvent:
    return EnrichedEvent(
        event_id=f"e{number}",
        received_at=BASE + timedelta(seconds=number),
        event=WebhookEvent(
            type="alert",
            action="updated",
            attributes={"uuid": alert, "short_id": f"AL{number}", "title": "T", "urgency_current_value": urgency},
        ),
        enrichment=Enrichment(status="not_applicable"),
    )


def record(number: int, alert: str, urgency: int) -> SimpleNamespace:
    value = encode(event(number, alert, urgency))
    return SimpleNamespace(
        topic="t",
        partition=3,
        offset=number,
        timestamp=int(BASE.timestamp() * 1000),
        key=alert.encode(),
        value=value,
        headers=(),
    )


class Channel(world.World):
    """A target that notes when it was told of which event, within digests too."""

    def __init__(self, limits=TEAMS, *answers, named=3, standby=None, **rule):
        self.named = named
        super().__init__(*answers, budget=Budget(limits), **rule)
        if rule:
            self.outlet.clock = self.clock
        if standby:
            outlet = Outlet("mail", standby, monotonic=lambda: self.now, clock=self.clock)
            self.dispatch = Dispatch(self.delivery, self, Standby("t", outlet, 300))
            self.outlet.clock = self.clock
        self.at: list[float] = []
        self.told: list[str] = []
        self.digests: list[EnrichedEvent] = []
        self.arriving: list[tuple[float, SimpleNamespace]] = []

    def clock(self):
        return BASE + timedelta(seconds=self.now)

    async def deliver(self, event):
        self.at.append(self.now)
        result = await super().deliver(event)
        if event.event.type == "digest":
            self.digests.append(event)
            self.told += [one.event_id for one in self.dispatch._folding.digest.folded]
        else:
            self.told.append(event.event_id)
        return result

    async def pause(self, seconds):
        assert seconds > 0
        arrivals = [at for at, _ in self.arriving]
        self.now = min([self.now + seconds, *(at for at in arrivals if at > self.now)])

    def run(self, *arriving: tuple[float, SimpleNamespace], crowded=lambda: False) -> Counter[str]:
        self.arriving = sorted(arriving, key=lambda one: (one[0], one[1].offset))

        async def scenario() -> list:
            window, ended = Window(1000, 10**9), []
            while self.arriving or len(window) or not self.dispatch.idle:
                while self.arriving and self.arriving[0][0] <= self.now:
                    one = self.arriving.pop(0)[1]
                    window.add(one, urgent=urgent(one.value))
                ended += await self.dispatch.step(window, crowded=crowded())
            return ended

        ended = asyncio.run(scenario())
        assert sorted(one.record.offset for one in ended) == sorted(one.offset for _, one in arriving)
        return Counter(receipt.outcome for receipt in self.receipts)


def most_in_any(times, seconds):
    return max(sum(start <= at < start + seconds for at in times) for start in times)


STEPS = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from("abcd"), st.sampled_from([10, 50, 90])), min_size=1, max_size=150
)


@settings(max_examples=60)
@given(STEPS, st.integers(0, 3), st.booleans())
def test_whatever_comes_when(steps, failures, crowded):
    answers = [Unavailable("HTTP 503") for _ in range(failures)]
    channel, now, coming = Channel((Limit(5, 60, reserve=2),), *answers), 0.0, []
    for number, (pause, alert, urgency) in enumerate(steps):
        now += pause / 10
        coming.append((now, record(number, alert, urgency)))
    toggle = iter(range(10**9))
    channel.run(*coming, crowded=lambda: crowded and next(toggle) % 7 == 3)
    assert sorted(channel.told) == sorted(f"e{number}" for number in range(len(steps)))
    for alert in "abcd":
        mine = [f"e{number}" for number, step in enumerate(steps) if step[1] == alert]
        assert [one for one in channel.told if one in mine] == mine
    assert most_in_any(channel.at, 60) <= 5
    digested = {one.event_id: one.digest_id for one in channel.receipts if one.outcome == "digested"}
    assert set(digested.values()) == {digest.event_id for digest in channel.digests}
    assert sum(digest.event.attributes["count"] for digest in channel.digests) == len(digested)


def test_a_few_are_told_one_by_one():
    assert Channel().run(*((0.0, record(n, f"a{n}", 10)) for n in range(5))) == {"accepted": 5}


def test_a_flood_becomes_digests_and_an_urgent_one_goes_past_it_at_once():
    low = [(n // 100 / 10, record(n, f"a{n}", 10)) for n in range(5_000)]
    channel = Channel()
    outcomes = channel.run(*low, (4.0, record(9_999, "u", 95)))
    assert outcomes == {"digested": 5_000, "accepted": 1}
    assert channel.at[channel.sent.index("e9999")] < 4.5
    assert len(channel.at) < 8


def test_five_hundred_urgent_ones_are_all_named_within_a_minute():
    channel = Channel(named=100)
    channel.run(*((n / 10, record(n, f"u{n}", 95)) for n in range(500)))
    named = [item["event_id"] for digest in channel.digests for item in digest.event.attributes["events"]]
    assert {*named, *channel.sent} >= {f"e{n}" for n in range(500)}
    assert channel.at[0] == 0
    assert max(channel.at) < 60
    assert most_in_any(channel.at, 300) <= 25


def test_urgent_ones_are_told_at_once_after_others_have_spent_their_part():
    low = [(n * 10.0, record(n, f"a{n}", 10)) for n in range(60)]
    urgent_ones = [(595 + 0.2 * n, record(1000 + n, f"u{n}", 95)) for n in range(2)]
    channel = Channel()
    channel.run(*low, *urgent_ones)
    assert channel.at[channel.sent.index("e1000")] == 595
    assert most_in_any(channel.at, 300) <= 25


def test_a_digest_is_posted_before_an_urgent_one_of_an_alert_it_holds():
    low = [(0.0, record(n, f"a{n}", 10)) for n in range(30)]
    channel = Channel()
    channel.run(*low, (0.5, record(99, "a7", 95)))
    assert channel.told.index("e7") < channel.told.index("e99")
    assert channel.sent[1] == "e99"


def test_a_digest_that_may_have_been_taken_is_sent_again_as_it_was():
    channel = Channel(TEAMS, Unavailable("HTTP 502"))
    channel.run(*((n // 25, record(n, f"a{n}", 10)) for n in range(100)))
    assert channel.sent[0] == channel.sent[1]
    assert channel.sent[0].startswith("digest-")


def test_a_digest_that_is_refused_is_sent_as_numbers_and_then_stops_the_sink():
    low = [(0.0, record(n, f"a{n}", 10)) for n in range(30)]
    channel = Channel(TEAMS, Undeliverable("HTTP 400"))
    assert channel.run(*low) == {"digested": 30}
    assert channel.digests[0].event.attributes["events"] == []
    assert channel.digests[0].event.attributes["count"] == 30
    channel = Channel(TEAMS, Undeliverable("HTTP 400"), Undeliverable("HTTP 400: still"))
    with pytest.raises(NotReady, match="refused a digest of 30 events: HTTP 400: still"):
        channel.run(*low)
    assert channel.receipts == []


def test_without_limits_nothing_is_folded_and_the_urgent_are_first():
    channel = Channel(())
    coming = [(0.0, record(n, f"a{n}", 90 if n == 70 else 10)) for n in range(100)]
    assert channel.run(*coming) == {"accepted": 100}
    assert channel.sent[0] == "e70"


def test_what_is_posted_gets_its_receipts_even_when_the_partitions_go():
    async def scenario() -> tuple[int, Channel]:
        channel, window = Channel(), Window(10_000, 10**9)
        for n in range(1_200):
            window.add(record(n, f"a{n}", 10), urgent=False)
        while not channel.digests:
            await channel.dispatch.step(window)
        ended = await channel.dispatch.finish()
        channel.dispatch.forget()
        assert channel.dispatch.idle
        return len(ended), channel

    count, channel = asyncio.run(scenario())
    assert count == len(channel.receipts) == 1_200


def test_a_delivered_answer_is_what_the_receipt_says():
    channel = Channel(TEAMS, Delivered("HTTP 202", "run-9", "accepted"))
    channel.run(*((0.0, record(n, f"a{n}", 10)) for n in range(40)))
    (receipt, *_) = channel.receipts
    assert (receipt.outcome, receipt.run_id, receipt.status, receipt.rules) == ("digested", "run-9", "HTTP 202", ("r",))


class Mail:
    """A fallback target."""

    named, at_once, marks_attempts = 3, 1, False

    def __init__(self, *answers):
        self.answers, self.told = list(answers), []

    async def deliver(self, event):
        self.told.append(event)
        if self.answers:
            raise self.answers.pop(0)
        return Delivered("SMTP 250")


def test_urgent_ones_go_to_the_fallback_once_they_waited_long_enough():
    mail = Mail(Undeliverable("no"))
    channel = Channel((), *[Unavailable("HTTP 503") for _ in range(40)], standby=mail)
    coming = [(n / 10, record(n, "u" if n == 2 else f"a{n}", 10)) for n in range(8)]
    outcomes = channel.run(*coming, (1.0, record(99, "u", 95)))
    assert outcomes == {"accepted": 7, "by_fallback": 2}
    assert [event.event_id for event in mail.told] == ["e2", "e2", "e99"], "tried again, and in the order of the alert"
    assert summarise(mail.told[-1]).warning == "Sent by fallback: t does not take it"
    by_fallback = next(one for one in channel.receipts if one.event_id == "e99")
    assert (by_fallback.target, by_fallback.status) == ("t", "mail: SMTP 250")
    assert "e99" not in channel.told


def test_a_fallback_that_refuses_is_not_asked_at_every_step():
    class Slow(Mail):
        async def deliver(self, event):
            at.append(channel.now)
            return await super().deliver(event)

    at: list[float] = []
    mail = Slow(*[Undeliverable("no") for _ in range(3)])
    channel = Channel((), *[Unavailable("HTTP 503") for _ in range(60)], standby=mail)
    assert channel.run((0.0, record(1, "u", 95))) == {"by_fallback": 1}
    assert len(at) == 4
    assert all(later - earlier >= 60 for earlier, later in pairwise(at))


def test_a_digest_with_urgent_ones_goes_to_the_fallback_too():
    mail = Mail()
    channel = Channel(TEAMS, *[Unavailable("HTTP 503") for _ in range(60)], standby=mail)
    outcomes = channel.run(*((0.0, record(n, f"u{n}", 95)) for n in range(30)))
    assert set(outcomes) >= {"by_fallback"}
    assert mail.told[0].event_id.startswith("digest-")
    assert summarise(mail.told[0]).warning.startswith("Sent by fallback")
    assert sum(outcomes.values()) == 30


def test_a_rule_may_ask_for_a_digest_without_any_limit():
    channel = Channel((), digest="15m", match={"urgency": "< 70"})
    coming = [(float(n), record(n, f"a{n}", 10)) for n in range(8)]
    assert channel.run(*coming) == {"digested": 8}
    assert len(channel.at) == 1
    assert 900 <= channel.at[0] <= 905, "15 minutes after the first came in"


def test_what_is_kept_goes_before_a_later_one_of_its_alert_that_is_not():
    rules = [
        Rule.model_validate({"name": "low", "match": {"urgency": "< 70"}, "notify": "t", "digest": "15m"}),
        Rule.model_validate({"name": "rest", "match": {"urgency": ">= 70"}, "notify": "t"}),
    ]
    channel = Channel((), digest="1s")
    channel.delivery._rules = Rules(rules, {"t": Target("t", "x", TargetSettings())}, "v1")
    low = [(0.0, record(n, f"a{n}", 10)) for n in range(5)]
    outcomes = channel.run(*low, (1.0, record(7, "b", 95)), (2.0, record(8, "a3", 95)), (3.0, record(9, "a9", 10)))
    assert outcomes == {"accepted": 1, "digested": 7}
    assert channel.told[0] == "e7"
    assert channel.told.index("e3") < channel.told.index("e8")
    assert channel.at[:2] == [1.0, 2.0]
    assert channel.at[2] > 800
