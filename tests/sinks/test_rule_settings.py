"""What a rule does besides matching: stop, keep quiet, wait, collect; and recurrence, which asks what was told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sinks.destination import TargetSettings
from sinks.facts import CROSSINGS_KEPT
from sinks.memory import Memory
from sinks.rules import Decision, Rule, Rules, Target

WEDNESDAY = datetime(2026, 7, 29, 8, 6, tzinfo=UTC)
KEY = b"a1"


def rules(*made: dict[str, Any], targets: tuple[str, ...] = ("soc", "other")) -> Rules:
    named = [{"name": f"r{n}", "match": "all", "notify": "soc", **one} for n, one in enumerate(made)]
    there = {name: Target(name, "x", TargetSettings()) for name in targets}
    return Rules([Rule.model_validate(one) for one in named], there, "v")


def event(at: datetime = WEDNESDAY, *, similar: float | None = None, **changes: Any) -> EnrichedEvent:
    attributes = {"uuid": "a1", "urgency_current_value": 50}
    attributes |= {} if similar is None else {"updated": {"similar": similar}}
    made: dict[str, Any] = {
        "event_id": "e",
        "received_at": at,
        "event": WebhookEvent(type="alert", action="updated", attributes=attributes),
        "alert": {"uuid": "a1"},
        "enrichment": Enrichment(status="complete"),
    }
    return EnrichedEvent(**made | changes)


def pending(at: datetime = WEDNESDAY) -> EnrichedEvent:
    bare = WebhookEvent(type="alert", action="created", attributes={"uuid": "a1"})
    return event(at, event=bare, alert=None, enrichment=Enrichment(status="pending"))


class Reader:
    """A target that is told, and whose memory keeps it."""

    def __init__(self, use: Rules) -> None:
        self.rules = use
        self.memory = Memory()

    def hears(self, one: EnrichedEvent, key: bytes = KEY) -> Decision:
        decision = self.rules.decide(one, "soc", self.memory.of(key))
        if decision.notify:
            told = (one.event.attributes.get("updated") or {}).get("similar")
            self.memory.tell(key, decision.rules, one.received_at, told)
        return decision


def test_behind_a_rule_that_stops_none_is_asked():
    use = rules({"match": {"urgency": ">= 40"}, "stop": True}, {}, {"notify": "other"})
    assert use.decide(event(), "soc").rules == ("r0",)
    assert use.decide(event(), "other") == Decision(notify=False, version="v")


def test_a_rule_that_stops_and_notifies_nobody_drops():
    use = rules({"match": {"urgency": ">= 40"}, "notify": [], "stop": True}, {})
    assert not use.decide(event(), "soc").notify
    calm = WebhookEvent(type="alert", action="created", attributes={"urgency_current_value": 39})
    assert use.decide(event(event=calm), "soc").rules == ("r1",)


def test_what_is_not_known_stops_nothing():
    use = rules({"match": {"urgency": ">= 40"}, "stop": True, "notify": "other"}, {})
    assert use.decide(pending(), "soc").rules == ("r1",)
    assert use.decide(pending(), "other").rules == ("r0",)


@pytest.mark.parametrize(
    ("mute", "quiet"),
    [
        ({"days": "wed"}, True),
        ({"days": "thu"}, False),
        ({"hours": "10:00-11:00", "zone": "Europe/Paris"}, True),
        ({"hours": "08:00-09:00", "zone": "Europe/Paris"}, False),
        ({"until": "2026-07-29T08:06:01Z"}, True),
        ({"until": "2026-07-29T08:06:00Z"}, False),
        ({"from": "2026-07-29T08:06:00Z"}, True),
        ({"from": "2026-07-29T08:06:01Z", "until": "2026-07-30T00:00:00Z"}, False),
        ({"from": "2026-07-01T00:00:00+02:00", "days": "thu"}, False),
        ([{"days": "thu"}, {"days": "wed"}], True),
    ],
    ids=str,
)
def test_mute(mute, quiet):
    decision = rules({"mute": mute}).decide(event(), "soc")
    assert decision.notify is not quiet
    assert decision.muted == ("r0: mute" if quiet else "")
    assert decision.rules == ("r0",)


def test_a_rule_that_is_muted_silences_no_other_rule():
    use = rules({"mute": {"days": "wed"}}, {"match": {"type": "alert"}})
    assert use.decide(event(), "soc") == Decision(notify=True, rules=("r1",), version="v")


def test_an_interval_is_kept_per_rule_and_alert():
    reader = Reader(rules({"min_interval": "15m"}))
    assert reader.hears(event()).notify
    later = reader.hears(event(WEDNESDAY + timedelta(minutes=14, seconds=59)))
    assert (later.notify, later.muted) == (False, "r0: min_interval, 899 s after the last")
    assert reader.hears(event(WEDNESDAY + timedelta(minutes=1)), b"another alert").notify
    assert reader.hears(event(WEDNESDAY + timedelta(minutes=15))).notify
    assert not reader.hears(event(WEDNESDAY + timedelta(minutes=29))).notify


def test_a_completion_is_part_of_the_message_it_completes():
    reader = Reader(rules({"min_interval": "15m", "on_complete": "always"}, {"on_complete": "never"}))
    assert reader.hears(pending()).rules == ("r0", "r1")
    completion = event(WEDNESDAY + timedelta(seconds=5), revision=1)
    assert reader.hears(completion).rules == ("r0",)


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ([1, 9, 10, 11, 99, 100, 101, 5000, 5001], [10, 100, 5000]),
        ([2500, 2501], [2500]),
        ([10, 10, 12], [10]),
        ([3, 4], []),
        ([150, 20, 101], [150]),
    ],
)
def test_recurrence_is_told_once_per_bound(counts, told):
    reader = Reader(rules({"match": {"recurrence": [10, 100, 1000]}}))
    heard = [n for i, n in enumerate(counts) if reader.hears(event(WEDNESDAY + timedelta(i), similar=n)).notify]
    assert heard == told


def test_recurrence_by_the_number_the_alert_itself_groups():
    reader = Reader(rules({"match": {"any": [{"recurrence": 10}, {"type": "case"}]}}))
    assert reader.hears(event(alert={"uuid": "a1", "similar": 14}), b"x").notify
    assert not reader.hears(event(alert={"uuid": "a1", "similar": 9}), b"y").notify


def test_recurrence_of_an_alert_not_known_yet_is_not_known():
    assert rules({"match": {"recurrence": 10}}).decide(pending(), "soc").notify
    assert not rules({"match": {"recurrence": 10}, "when_unknown": "skip"}).decide(pending(), "soc").notify


def test_a_crossing_is_forgotten_a_week_after_it_was_told():
    reader = Reader(rules({"match": {"recurrence": 10}}))
    assert reader.hears(event(similar=12)).notify
    assert not reader.hears(event(WEDNESDAY + CROSSINGS_KEPT - timedelta(seconds=1), similar=13)).notify
    assert reader.hears(event(WEDNESDAY + CROSSINGS_KEPT, similar=14)).notify


@pytest.mark.parametrize(
    ("digest", "at", "due"),
    [
        ("15m", WEDNESDAY, WEDNESDAY + timedelta(minutes=15)),
        ({"hours": "20:00-08:00", "zone": "Europe/Paris"}, "2026-07-29T18:00:00Z", "2026-07-30T06:00:00Z"),
        ({"hours": "20:00-08:00", "zone": "Europe/Paris"}, "2026-07-30T05:59:59Z", "2026-07-30T06:00:00Z"),
        ({"hours": "20:00-08:00", "zone": "Europe/Paris"}, "2026-07-30T06:00:00Z", None),
        ({"hours": "20:00-08:00", "zone": "Europe/Paris"}, "2026-10-24T18:30:00Z", "2026-10-25T07:00:00Z"),
        ({"days": "sat,sun"}, "2026-08-01T12:00:00Z", "2026-08-03T00:00:00Z"),
        ({"days": "mon-sun", "hours": "12:00-24:00"}, "2026-08-01T12:00:00Z", "2026-08-02T00:00:00Z"),
        ({"every": "1h", "hours": "20:00-08:00"}, "2026-07-29T21:00:00Z", "2026-07-29T22:00:00Z"),
        ({"every": "1h", "hours": "20:00-08:00"}, "2026-07-30T07:30:00Z", "2026-07-30T08:00:00Z"),
    ],
)
def test_digest(digest, at, due):
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    due = datetime.fromisoformat(due) if isinstance(due, str) else due
    decision = rules({"digest": digest}).decide(event(at), "soc")
    assert decision.notify
    assert decision.digest == due


def test_a_digest_is_as_early_as_any_of_the_rules_asks():
    use = rules({"digest": "1h"}, {"digest": "15m"})
    assert use.decide(event(), "soc").digest == WEDNESDAY + timedelta(minutes=15)
    assert rules({"digest": "1h"}, {}).decide(event(), "soc").digest is None


def test_what_is_not_known_goes_into_no_digest():
    assert rules({"match": {"urgency": "< 40"}, "digest": "1h"}).decide(pending(), "soc").digest is None


@pytest.mark.parametrize(
    ("made", "kept"),
    [
        ({}, timedelta(0)),
        ({"min_interval": "2d"}, timedelta(days=2)),
        ({"match": {"not": {"any": [{"recurrence": 10}]}}}, CROSSINGS_KEPT),
        ({"min_interval": "2d", "notify": "other"}, timedelta(0)),
    ],
    ids=str,
)
def test_how_far_back_it_matters_what_was_told(made, kept):
    assert rules(made).remembers("soc") == kept


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"min_interval": "0s"}, "from 1s to 7d"),
        ({"min_interval": "8d"}, "from 1s to 7d"),
        ({"min_interval": "often"}, "from 1s to 7d"),
        ({"min_interval": 900}, "from 1s to 7d"),
        ({"digest": "8d"}, "from 1s to 7d"),
        ({"digest": {}}, "write how long"),
        ({"mute": {"until": "2026-07-29"}}, "zone"),
        ({"mute": {"from": "2026-07-29T00:00:00Z", "until": "2026-07-28T00:00:00Z"}}, "ends before it begins"),
        ({"mute": "sat"}, "list"),
        ({"stop": True, "match": {"any": [{"recurrence": 10}]}}, "a rule that stops cannot ask for recurrence"),
        ({"match": {"recurrence": [0]}}, "greater than"),
        ({"match": {"recurrence": "10"}}, "list"),
    ],
    ids=str,
)
def test_a_mistake_is_refused(wrong, said):
    with pytest.raises(ValidationError, match=said):
        rules(wrong)
