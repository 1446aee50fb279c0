"""Why a rule matches an event or not: each of its conditions with its own answer."""

from dataclasses import dataclass

from events.records import EnrichedEvent
from sinks.conditions import Conditions, compile_conditions
from sinks.facts import Facts
from sinks.rules import Rule
from sinks.verdict import Verdict


@dataclass(frozen=True)
class Reason:
    """One condition as it is written, and what it says of the event."""

    condition: str
    verdict: Verdict


@dataclass(frozen=True)
class Explanation:
    """What one rule does with one event."""

    rule: str
    notifies: bool
    targets: tuple[str, ...]
    reasons: tuple[Reason, ...]


def explain(rule: Rule, event: EnrichedEvent) -> Explanation:
    """Ask each condition of a rule by itself; those inside `any`, `all` and `not` answer as one."""
    reasons = tuple(_reasons(rule.match, event))
    verdicts = {reason.verdict for reason in reasons}
    notifies = False not in verdicts and (None not in verdicts or rule.when_unknown == "match")
    return Explanation(rule.name, notifies, tuple(rule.notify), reasons)


def _reasons(match: Conditions, event: EnrichedEvent) -> list[Reason]:
    given = match.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return [
        Reason(f"{name}: {_written(value)}", compile_conditions(Conditions.model_validate({name: value}))(Facts(event)))
        for name, value in given.items()
    ]


def _written(value: object) -> str:
    if isinstance(value, list):
        return " or ".join(map(_written, value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_written(inner)}" for name, inner in value.items()) + "}"
    return str(value)
