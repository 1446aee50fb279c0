"""Which targets an event is for: the rules of `tocsin.yml`, compiled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from events.records import EnrichedEvent, Enrichment
from events.settings import Duration
from events.state_changes import TYPE, is_own, told
from sinks import shelf
from sinks.conditions import Conditions, Names, recurs
from sinks.destination import TargetSettings
from sinks.facts import CROSSINGS_KEPT, Facts, Told, nothing
from sinks.limits import Limit, LimitSettings
from sinks.operators import RULE, addressed
from sinks.proof import ACCEPTED_ONLY, Canary
from sinks.quiet import Digest, Interval, Mutes, due, muted
from sinks.rule_index import RuleIndex

Start = Literal["now", "earliest"] | AwareDatetime
"""Where a target that never ran begins to read."""


class Rule(BaseModel):
    """One entry under `rules:`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(min_length=1, max_length=100)
    match: Annotated[Conditions, BeforeValidator(lambda value: {} if value == "all" else value)]
    notify: Names
    when_unknown: Literal["match", "skip"] = Field(
        "match", description="What to do while the alert is waited for and a condition cannot be answered."
    )
    on_complete: Literal["new", "always", "never"] = Field(
        "new",
        description="When the alert has come: tell those not told before, tell all once more, or tell nobody.",
    )
    stop: bool = Field(
        default=False, description="Ask no later rule about an event this one surely matches, whoever is notified."
    )
    mute: Mutes = Field(default_factory=list, description="Tell nobody of what comes in at these times.")
    min_interval: Interval | None = Field(
        None, description="Tell a target of the same alert at most once in this time: 15m, 24h."
    )
    digest: Digest | None = Field(None, description="Tell many events in one message: 15m, or hours of the day.")

    @model_validator(mode="after")
    def _stops_by_itself(self) -> "Rule":
        if self.stop and recurs(self.match):
            raise ValueError("a rule that stops cannot ask for recurrence, which each target counts by itself")
        return self


class Fallback(BaseModel):
    """Who is told of urgent events when a target does not take them."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    target: str = Field(description="Another target of this file.")
    after: Duration = Field(timedelta(minutes=5), gt=timedelta(0), description="How long an urgent event waits first.")


class TargetOptions(BaseModel):
    """What every entry under `targets:` may have besides its type's own settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    start: Start | None = Field(
        None, description="Where a target that never ran begins to read: now, earliest, or a time."
    )
    connection: str | None = Field(
        None,
        min_length=1,
        max_length=60,
        description="Targets of one connection share its budget; by default those of one address.",
    )
    limits: tuple[LimitSettings, ...] | None = Field(
        None, max_length=8, description="How often it may be posted to, instead of what the type itself keeps to."
    )
    fallback: Fallback | None = None
    canary: Canary = Field(ACCEPTED_ONLY, description="How it is known that the target shows what it accepts.")


@dataclass(frozen=True)
class Target:
    """One entry under `targets:`, its settings read by the destination's own model."""

    name: str
    type: str
    settings: TargetSettings
    start: Literal["now", "earliest"] | datetime | None = None
    connection: str | None = None
    limits: tuple[Limit, ...] | None = None
    fallback: Fallback | None = None
    canary: Canary = ACCEPTED_ONLY


@dataclass(frozen=True)
class Decision:
    """Whether a target is told of an event, and by which rules."""

    notify: bool
    rules: tuple[str, ...] = ()
    version: str = ""
    replay_id: str | None = None
    """The job that sends an event again; none when it comes for the first time."""
    digest: datetime | None = None
    """Until when the event may be kept for a message with others; none when it is to be told at once."""
    muted: str = ""
    """Why nobody is told although rules match; empty when somebody is, or none matches."""


class Rules:
    """The compiled rules and the SHA-256 of the file they came from; deciding is a pure function of the event."""

    def __init__(
        self, rules: Sequence[Rule], targets: dict[str, Target], version: str, operators: Sequence[str] = ()
    ) -> None:
        """Take the operators, too: without any, what the pipeline says of itself goes by the rules, as all does."""
        self.rules = tuple(rules)
        self.targets = targets
        self.version = version
        self.operators = tuple(operators)
        self._by_target = {name: _Compiled(rules, name, version) for name in targets}
        # A rule for everything is not meant to tell a channel of analysts that a disk is full.
        named = [rule for rule in rules if TYPE in rule.match.type] if operators else rules
        self._own = {name: _Compiled(named, name, version) for name in targets}

    def adopt(self, newer: "Rules") -> None:
        """Decide by newer rules from now on; a target they no longer have keeps its old ones, so nothing is lost."""
        self.rules, self.targets, self.version = newer.rules, newer.targets, newer.version
        self.operators = newer.operators
        self._by_target = {**self._by_target, **newer._by_target}  # noqa: SLF001 - of its own kind
        self._own = {**self._own, **newer._own}  # noqa: SLF001

    def decide(self, event: EnrichedEvent, target: str, before: Told = nothing) -> Decision:
        """Say whether a target is told of an event, given what its rules told of the alert before.

        A completion (revision 1) is told only to a target that was not told of the pending event it completes, unless
        a rule's `on_complete` asks for more or less.
        """
        if is_own(event):
            return self._decide_own(event, target, before)
        return self._by_target[target].decide(event, before)

    def addressed(self, event: EnrichedEvent) -> tuple[str, ...]:
        """Return the targets that are told, as operators, what the pipeline says of itself; none where none are named."""
        if not self.operators:
            return ()
        people = [name for name, target in self.targets.items() if shelf.find(target.type).tells_people]
        return addressed(event, self.operators, people)

    def _decide_own(self, event: EnrichedEvent, target: str, before: Told) -> Decision:
        if target in told(event):
            return Decision(notify=False, rules=(RULE,), version=self.version, muted="told by the watch itself")
        if target in self.addressed(event):
            return Decision(notify=True, rules=(RULE,), version=self.version)
        return self._own[target].decide(event, before)

    def remembers(self, target: str) -> timedelta:
        """Return how far back it matters what the target was told; zero when it does not."""
        return self._by_target[target].remembers


class _Compiled:
    """The rules of one target, with the rules of others that stop."""

    def __init__(self, rules: Sequence[Rule], target: str, version: str) -> None:
        self._version = version
        self._target = target
        self._rules = [rule for rule in rules if rule.stop or target in rule.notify]
        self._index = RuleIndex([rule.match for rule in self._rules], [rule.name for rule in self._rules])
        self._muted = {rule.name: muted(rule.mute) for rule in self._rules if rule.mute}
        self._due = {rule.name: due(rule.digest) for rule in self._rules if rule.digest}
        kept = [rule.min_interval or timedelta(0) for rule in self._rules]
        kept += [CROSSINGS_KEPT for rule in self._rules if recurs(rule.match)]
        self.remembers = max(kept, default=timedelta(0))

    def decide(self, event: EnrichedEvent, told: Told) -> Decision:
        matching = self._matching(Facts(event, told))
        if event.revision and matching:
            # Decided anew on the event as it was then, so that nothing need be remembered.
            before = bool(self._matching(Facts(_pending_form(event), told)))
            wanted = {"always"} if before else {"always", "new"}
            matching = [(rule, sure) for rule, sure in matching if rule.on_complete in wanted]
        telling, quiet = [], ""
        for rule, sure in matching:
            if why := self._quiet(rule, event, told):
                quiet = quiet or why
            else:
                telling.append((rule, sure))
        names = tuple(rule.name for rule, _ in telling or matching)
        if not telling:
            return Decision(notify=False, rules=names, version=self._version, muted=quiet)
        return Decision(notify=True, rules=names, version=self._version, digest=self._digest(telling, event))

    def _matching(self, facts: Facts) -> list[tuple[Rule, bool]]:
        """Return the rules that notify the target, each with whether it surely matches."""
        found = []
        for number, verdict in self._index.possible(facts):
            rule = self._rules[number]
            if (verdict or rule.when_unknown == "match") and self._target in rule.notify:
                found.append((rule, bool(verdict)))
            # What is not known yet stops nothing: the rules behind may be those that are meant.
            if verdict and rule.stop:
                break
        return found

    def _quiet(self, rule: Rule, event: EnrichedEvent, told: Told) -> str:
        if rule.name in self._muted and self._muted[rule.name](event.received_at):
            return f"{rule.name}: mute"
        # A completion belongs to the message about the event it completes.
        if rule.min_interval and not event.revision and (last := told(rule.name)):
            passed = event.received_at - last.at
            if passed < rule.min_interval:
                return f"{rule.name}: min_interval, {max(round(passed.total_seconds()), 0)} s after the last"
        return ""

    def _digest(self, telling: Sequence[tuple[Rule, bool]], event: EnrichedEvent) -> datetime | None:
        """Return the earliest time any of the rules asks for; what is not known may be urgent, and goes at once."""
        times = []
        for rule, sure in telling:
            when = self._due[rule.name](event.received_at) if sure and rule.name in self._due else None
            if when is None:
                return None
            times.append(when)
        return min(times)


def _pending_form(event: EnrichedEvent) -> EnrichedEvent:
    changes: dict[str, Any] = {"revision": 0, "alert": None, "names": {}, "enrichment": Enrichment(status="pending")}
    return event.model_copy(update=changes)
