"""Why a rule matches an event or not: each of its conditions with its own answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from events.records import EnrichedEvent
from sinks.conditions import Conditions, compile_conditions, recurs
from sinks.facts import Facts
from sinks.quiet import due, muted
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
    notes: tuple[str, ...] = ()
    """What the rule's settings make of it: quiet at that time, kept for a digest, not asked at all."""


def explain_all(rules: Sequence[Rule], event: EnrichedEvent) -> Iterator[Explanation]:
    """Explain rules in their order; behind one that stops none is asked. Nothing is known of what was told before."""
    stopped = ""
    for rule in rules:
        found = explain(rule, event)
        if stopped:
            yield replace(found, notifies=False, notes=(f"not asked: rule {stopped} stops before it",))
            continue
        yield replace(found, notes=tuple(_notes(rule, event))) if found.notifies else found
        if rule.stop and found.notifies and all(reason.verdict for reason in found.reasons):
            stopped = rule.name


def explain(rule: Rule, event: EnrichedEvent) -> Explanation:
    """Ask each condition of a rule by itself; those inside `any`, `all` and `not` answer as one."""
    reasons = tuple(_reasons(rule.match, event))
    verdicts = {reason.verdict for reason in reasons}
    notifies = False not in verdicts and (None not in verdicts or rule.when_unknown == "match")
    return Explanation(rule.name, notifies, tuple(rule.notify), reasons)


def _notes(rule: Rule, event: EnrichedEvent) -> Iterator[str]:
    at = event.received_at
    if muted(rule.mute)(at):
        yield "muted at the time it came in"
    if until := due(rule.digest)(at):
        yield f"in a digest until {until.isoformat()}"
    if rule.min_interval:
        yield f"unless it told of the alert less than {rule.min_interval} before"
    if recurs(rule.match):
        yield "unless it told of as many events before"


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
