"""Which targets an event is for: the rules of `tocsin.yml`, compiled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from events.records import EnrichedEvent, Enrichment
from events.settings import Duration
from sinks.conditions import Conditions, Names
from sinks.destination import TargetSettings
from sinks.fields import Facts
from sinks.limits import Limit, LimitSettings
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


@dataclass(frozen=True)
class Decision:
    """Whether a target is told of an event, and by which rules."""

    notify: bool
    rules: tuple[str, ...] = ()
    version: str = ""
    replay_id: str | None = None
    """The job that sends an event again; none when it comes for the first time."""


class Rules:
    """The compiled rules and the SHA-256 of the file they came from; deciding is a pure function of the event."""

    def __init__(self, rules: Sequence[Rule], targets: dict[str, Target], version: str) -> None:
        self.rules = tuple(rules)
        self.targets = targets
        self.version = version
        self._by_target = {
            name: _Compiled([rule for rule in rules if name in rule.notify], version) for name in targets
        }

    def adopt(self, newer: "Rules") -> None:
        """Decide by newer rules from now on; a target they no longer have keeps its old ones, so nothing is lost."""
        self.rules, self.targets, self.version = newer.rules, newer.targets, newer.version
        self._by_target = {**self._by_target, **newer._by_target}  # noqa: SLF001 - of its own kind

    def decide(self, event: EnrichedEvent, target: str) -> Decision:
        """Say whether a target is told of an event.

        A completion (revision 1) is told only to a target that was not told of the pending event it completes, unless
        a rule's `on_complete` asks for more or less.
        """
        compiled = self._by_target[target]
        matching = compiled.matching(Facts(event))
        if event.revision:
            # Decided anew on the event as it was then, so that nothing need be remembered.
            told = bool(compiled.matching(Facts(_pending_form(event))))
            wanted = {"always"} if told else {"always", "new"}
            matching = [rule for rule in matching if rule.on_complete in wanted]
        return Decision(notify=bool(matching), rules=tuple(rule.name for rule in matching), version=compiled.version)


class _Compiled:
    """The rules of one target."""

    def __init__(self, rules: Sequence[Rule], version: str) -> None:
        self.version = version
        self._rules = rules
        self._index = RuleIndex([rule.match for rule in rules])

    def matching(self, facts: Facts) -> list[Rule]:
        found = ((self._rules[number], verdict) for number, verdict in self._index.possible(facts))
        return [rule for rule, verdict in found if verdict or rule.when_unknown == "match"]


def _pending_form(event: EnrichedEvent) -> EnrichedEvent:
    changes: dict[str, Any] = {"revision": 0, "alert": None, "names": {}, "enrichment": Enrichment(status="pending")}
    return event.model_copy(update=changes)
