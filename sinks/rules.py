"""Which targets an event is for: the rules of `tocsin.yml`, compiled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from events.records import EnrichedEvent, Enrichment
from sinks.conditions import Conditions, Names
from sinks.destination import TargetSettings
from sinks.fields import Facts
from sinks.rule_index import RuleIndex

Start = Literal["now", "earliest"] | AwareDatetime
"""Where a target that never ran begins to read."""


class Rule(BaseModel):
    """One entry under `rules:`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(min_length=1, max_length=100)
    match: Annotated[Conditions, BeforeValidator(lambda value: {} if value == "all" else value)]
    notify: Names
    when_unknown: Literal["match", "skip"] = "match"


@dataclass(frozen=True)
class Target:
    """One entry under `targets:`, its settings read by the destination's own model."""

    name: str
    type: str
    settings: TargetSettings
    start: Literal["now", "earliest"] | datetime | None = None


@dataclass(frozen=True)
class Decision:
    """Whether a target is told of an event, and by which rules."""

    notify: bool
    rules: tuple[str, ...] = ()
    replay_id: str | None = None
    """The job that sends an event again; none when it comes for the first time."""


class Rules:
    """The compiled rules and the SHA-256 of the file they came from; deciding is a pure function of the event."""

    def __init__(self, rules: Sequence[Rule], targets: dict[str, Target], version: str) -> None:
        self.rules = tuple(rules)
        self.targets = targets
        self.version = version
        self._by_target = {name: _Compiled([rule for rule in rules if name in rule.notify]) for name in targets}

    def decide(self, event: EnrichedEvent, target: str) -> Decision:
        """Say whether a target is told of an event.

        A completion (revision 1) is told only to a target that was not told of the pending event it completes.
        """
        if event.revision and self._matching(_pending_form(event), target):
            return Decision(notify=False)
        matching = self._matching(event, target)
        return Decision(notify=bool(matching), rules=matching)

    def _matching(self, event: EnrichedEvent, target: str) -> tuple[str, ...]:
        return self._by_target[target].matching(Facts(event))


class _Compiled:
    """The rules of one target."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._index = RuleIndex([rule.match for rule in rules])

    def matching(self, facts: Facts) -> tuple[str, ...]:
        found = self._index.possible(facts)
        return tuple(self._rules[n].name for n, verdict in found if verdict or self._rules[n].when_unknown == "match")


def _pending_form(event: EnrichedEvent) -> EnrichedEvent:
    changes: dict[str, Any] = {"revision": 0, "alert": None, "enrichment": Enrichment(status="pending")}
    return event.model_copy(update=changes)
