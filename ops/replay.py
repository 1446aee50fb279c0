"""What a replay sends again, and to whom; knows no Kafka."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

import orjson
import yaml
from pydantic import ValidationError

from events.errors import NotReady
from events.headers import isoformat
from events.records import EnrichedEvent
from sinks import shelf
from sinks.conditions import Conditions, compile_conditions
from sinks.facts import Facts
from sinks.rules import Rules

REMEMBERED = timedelta(days=6)
"""How long a job can be gone on with: the redeliveries topic, where it reads what is done, is kept for seven days."""

TOPIC = "topic:"
"""Before the name of a topic that a replay goes to instead of a target."""

CAUSE = "replay"
"""Header of a record that a replay wrote."""

EVER = datetime(1970, 1, 1, tzinfo=UTC)

Wants = Callable[[EnrichedEvent], bool]


@dataclass(frozen=True)
class Plan:
    """One job: its selection never changes, so that it can be stopped and gone on with."""

    job: str
    target: str
    since: str
    until: str
    alert: str = ""
    where: str = ""
    rule: str = ""
    again: bool = False
    notify: bool = False
    begun: str = ""

    @property
    def span(self) -> tuple[datetime, datetime]:
        """From when, and up to when, what came in is sent again."""
        return datetime.fromisoformat(self.since), datetime.fromisoformat(self.until)

    @property
    def topic(self) -> str | None:
        """The topic it goes to; None where it goes to a target."""
        return self.target.removeprefix(TOPIC) if self.target.startswith(TOPIC) else None

    def save(self, folder: Path) -> None:
        """Write it, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"{self.job}.json.new"
        with draft.open("wb") as file:
            file.write(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / f"{self.job}.json")

    @classmethod
    def load(cls, folder: Path, job: str, now: datetime) -> Self:
        """Read it. Raises NotReady where there is none, or it was begun too long ago."""
        known = sorted(path.stem for path in folder.glob("*.json"))
        if job not in known:
            raise NotReady(f"There is no replay {job} in {folder}; known are: {', '.join(known) or 'none'}.")
        try:
            plan = cls(**orjson.loads((folder / f"{job}.json").read_bytes()))
            late = now - datetime.fromisoformat(plan.begun) > REMEMBERED
        except (orjson.JSONDecodeError, TypeError, ValueError) as error:
            raise NotReady(f"{folder / job}.json cannot be read as a replay.") from error
        if late:
            raise NotReady(
                f"Replay {job} began over {REMEMBERED.days} days ago, and what it has sent is known no more: begin another, "
                "which leaves out what the target has a receipt of."
            )
        return plan


def wants(plan: Plan, rules: Rules | None) -> Wants:
    """Return what says whether an event is meant: conditions, a rule, an alert; else what the target's rules want.

    Without rules, for a topic, everything is. Raises NotReady for conditions or a rule that cannot be used.
    """
    if plan.rule and rules:
        rule = next((each for each in rules.rules if each.name == plan.rule), None)
        if rule is None:
            raise NotReady(
                f"There is no rule {plan.rule!r}{shelf.did_you_mean(plan.rule, [r.name for r in rules.rules])}"
            )
        matches = compile_conditions(rule.match)
        unknown = rule.when_unknown == "match"
        return lambda event: _is(plan, event) and _answer(matches(Facts(event)), unknown)
    if plan.where:
        asked = compile_conditions(conditions(plan.where))
        return lambda event: _is(plan, event) and _answer(asked(Facts(event)), False)
    if plan.alert or rules is None:
        return lambda event: _is(plan, event)
    # As if it came for the first time: a completion is decided on by itself, whoever was told of it as pending.
    return lambda event: rules.decide(event.model_copy(update={"revision": 0}), plan.target).notify


def conditions(text: str) -> Conditions:
    """Read conditions as they stand in a rule: `type: alert, urgency: ">= 70"`.

    Raises NotReady.
    """
    try:
        content = yaml.safe_load("{" + text + "}")
        return Conditions.model_validate(content)
    except (yaml.YAMLError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "no YAML"
        raise NotReady(f"--where is written as in a rule, 'type: alert, urgency: \">= 70\"': {reason}.") from error


def _is(plan: Plan, event: EnrichedEvent) -> bool:
    return not plan.alert or (event.event.alert_uuid or "").lower() == plan.alert


def _answer(verdict: bool | None, unknown: bool) -> bool:
    return unknown if verdict is None else verdict


def names(alert: str, value: bytes) -> bool:
    """Say whether a record may be about an alert, without decoding it: its events lie in any partition once topics grew."""
    plain = alert.isascii() and alert.replace("-", "").isalnum()  # as JSON has it too
    return not plain or alert.encode() in value.lower()


class Got(NamedTuple):
    """What a target has receipts of."""

    events: set[str]
    since: datetime | None = EVER
    """Of what came in before nobody knows whether it has a receipt; None: of anything."""


@dataclass
class Counts:
    """What was found, and what of it goes out."""

    looked_at: int = 0
    wanted: int = 0
    got: int = 0
    """Wanted, and the target has it already."""
    sent: int = 0
    """Written by this job before."""
    doubtful: int = 0
    """To be sent, and nobody knows whether the target has it."""
    known_since: datetime = EVER
    """All receipts of what came in since then are known."""
    picks: dict[int, set[int]] = field(default_factory=dict)
    """By partition, the offsets to be sent."""

    @property
    def left(self) -> int:
        """How many go out."""
        return sum(map(len, self.picks.values()))


class Picking:
    """Choose in one partition: of each event its last revision, unless the target got the event already."""

    def __init__(self, plan: Plan, wants: Wants, got: Got, sent: set[int]) -> None:
        self._since, self._until = plan.span
        self._again = plan.again
        self._wants = wants
        self._got = got.events
        self._sent = sent
        self._known_since = got.since or self._until
        self._last: dict[str, tuple[int, int, bool, bool]] = {}
        self._done: set[str] = set()
        self.looked_at = 0

    def take(self, event: EnrichedEvent, offset: int) -> None:
        """Look at a record."""
        if not self._since <= event.received_at < self._until:
            return
        self.looked_at += 1
        if offset in self._sent:
            self._done.add(event.event_id)
        last = (event.revision, offset, self._wants(event), event.received_at < self._known_since)
        self._last[event.event_id] = max(last, self._last.get(event.event_id, last))

    def add_to(self, counts: Counts, partition: int) -> None:
        """Count, and name the offsets."""
        counts.looked_at += self.looked_at
        picks = counts.picks.setdefault(partition, set())
        counts.known_since = max(counts.known_since, self._known_since)
        for event_id, (_, offset, wanted, doubtful) in self._last.items():
            if not wanted and event_id not in self._done:
                continue
            counts.wanted += 1
            if event_id in self._done:
                counts.sent += 1
            elif event_id in self._got and not self._again:
                counts.got += 1
            else:
                picks.add(offset)
                counts.doubtful += doubtful and not self._again


def marked(value: bytes, job: str, now: datetime) -> bytes:
    """Return a record that says it is sent again."""
    return orjson.dumps(orjson.loads(value) | {"replay": {"job": job, "at": isoformat(now)}})


def doubt(plan: Plan, counts: Counts) -> str:
    """Say that nobody knows of some events whether the target has them, and what can be done."""
    what = (
        f"Nobody knows whether {plan.target} has {counts.doubtful:,} of them: receipts of what came before "
        f"{counts.known_since:%Y-%m-%d %H:%M} UTC have left Kafka and are not in an archive at hand. "
    )
    if counts.sent:  # a new job with --again would send these once more
        return f"{what}Begin another job with a later --since for the rest: it leaves out what has a receipt."
    return f"{what}--again sends them all the same, a later --since leaves them out."
