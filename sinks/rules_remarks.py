"""What is allowed in a rules file and yet likely a mistake, or good to know."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from events.records import EnrichedEvent, Enrichment, WebhookEvent
from events.state_changes import ORIGIN, RAISED, TYPE
from sinks import fields, shelf
from sinks.cel import compile_text
from sinks.conditions import Conditions
from sinks.rules import Rule, Rules
from sinks.rules_reach import alternatives, implies, never
from sinks.rules_text import Path, RulesText

_NEED_ALERT = frozenset({*fields.ENRICHED, "urgency", "asset_criticality", "similar", "recurrence", "alert"})
_NEED_LOOK_UP = {"asset": "asset", "community": "community", "names": "name"}
"""What is looked up for a condition, or for a variable of an expression."""

_TROUBLE = EnrichedEvent(
    event_id="tocsin/kafka_away/raised",
    received_at=datetime(2026, 8, 2, 3, tzinfo=UTC),
    origin=ORIGIN,
    event=WebhookEvent(type=TYPE, action=RAISED),
    enrichment=Enrichment(status="not_applicable"),
)
"""As the watch tells of what hurts."""

_WHOLE = Rule(name="whole", match=Conditions(), notify=[])


def remarks(rules: Rules, text: RulesText) -> list[str]:
    """Return a sentence for each, with its place: what nobody uses or reaches, secrets in clear, what needs the alert."""
    found = [*_targets(rules), *_reach(rules), *_twins(rules), *_secrets(text), *_needs(rules)]
    return [f"{text.place(path)}: {said}" for path, said in found]


def few_hear(rules: Rules) -> str:
    """Return what is wrong, and what to do, where fewer than two targets hear that the pipeline itself hurts; else "".

    Without `operators:` the rules are asked, as on a Sunday night: what holds in office hours only wakes nobody.
    """
    heard = list(dict.fromkeys(rules.operators)) or [
        name
        for name, target in rules.targets.items()
        if shelf.find(target.type).tells_people and rules.decide(_TROUBLE, name).notify
    ]
    if len(heard) > 1:
        return ""
    if not heard:
        return "nobody is told when the pipeline itself hurts: name two targets, of different kinds, under operators"
    return (
        f"{heard[0]} alone is told when the pipeline itself hurts, and cannot tell that it is away itself: "
        "name two targets, of different kinds, under operators"
    )


def looked_up(rules: Rules) -> set[str]:
    """Return the kinds of things whose names the rules ask for."""
    return {_NEED_LOOK_UP[name] for rule in rules.rules for name in _asked(rule.match) if name in _NEED_LOOK_UP}


def _targets(rules: Rules) -> Iterator[tuple[Path, str]]:
    used = {target for rule in rules.rules for target in rule.notify}
    used |= set(rules.operators)
    used |= {target.fallback.target for target in rules.targets.values() if target.fallback}
    for name in rules.targets:
        if name not in used:
            yield ("targets", name), f"target {name}: no rule notifies it"
    if said := few_hear(rules):
        yield ("operators" if rules.operators else "rules",), said


def _reach(rules: Rules) -> Iterator[tuple[Path, str]]:
    for number, rule in enumerate(rules.rules):
        place: Path = ("rules", number, "match")
        if why := never(rule.match):
            known = " once the alert is known" if _asked(rule.match) & _NEED_ALERT else ""
            yield place, f"rule {rule.name}: never matches{known}: {why}"
            continue
        for path, one in alternatives(rule.match):
            if why := never(one):
                yield (*place, *path), f"rule {rule.name}: one of its alternatives never holds: {why}"
        for earlier in rules.rules[:number]:
            if earlier.stop and implies(rule.match, earlier.match):
                still = " once the alert is known" if _asked(earlier.match) & _NEED_ALERT else ""
                yield place, f"rule {rule.name}: is never reached{still}: rule {earlier.name} stops before it"
                break


def _twins(rules: Rules) -> Iterator[tuple[Path, str]]:
    for number, rule in enumerate(rules.rules):
        for earlier in rules.rules[:number]:
            plain = earlier == _WHOLE.model_copy(
                update={"name": earlier.name, "match": earlier.match, "notify": earlier.notify}
            )
            same = plain and not rule.stop and rule.on_complete == "new"
            if same and set(rule.notify) <= set(earlier.notify) and implies(rule.match, earlier.match):
                yield (
                    ("rules", number),
                    f"rule {rule.name}: tells nobody that rule {earlier.name} does not tell already",
                )
                break


def _secrets(text: RulesText) -> Iterator[tuple[Path, str]]:
    for name, entry in text.content["targets"].items():
        for key, value in entry.items():
            written = value if isinstance(value, list) else [value]
            if _is_secret(entry["type"], key) and any(map(_in_clear, written)):
                said = f"target {name}: {key} stands in the file in clear; write it as ${{NAME}} or file:/path"
                yield ("targets", name, key), said


def _in_clear(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and "${" not in value and not value.startswith("file:")


def _is_secret(type_: str, key: str) -> bool:
    field = shelf.find(type_).Settings.model_fields.get(key)
    return field is not None and SecretStr.__name__ in f"{field.annotation} {field.metadata}"


def _needs(rules: Rules) -> Iterator[tuple[Path, str]]:
    for number, rule in enumerate(rules.rules):
        asked = _asked(rule.match)
        place: Path = ("rules", number)
        if needed := sorted(asked & _NEED_ALERT):
            then = "notifies" if rule.when_unknown == "match" else "does not notify"
            yield place, f"rule {rule.name}: needs the alert for {', '.join(needed)}; while that is not known it {then}"
        if names := sorted(asked & _NEED_LOOK_UP.keys()):
            yield place, f"rule {rule.name}: knows names of {', '.join(names)} only if the API key may look them up"
        if told := sorted(asked & fields.OF_REPORT):
            then = "notifies" if rule.when_unknown == "match" else "does not notify"
            said = f"asks {', '.join(told)}; of a report that does not tell, which is most, it {then}"
            yield place, f"rule {rule.name}: {said}"


def _asked(match: Conditions) -> set[str]:
    asked = set(match.model_dump(exclude_defaults=True)) - {"any", "all", "not_", "if_"}
    if match.if_:
        asked |= set(compile_text(match.if_)[1])
    inner = [*match.any, *match.all, *([match.not_] if match.not_ else [])]
    return asked.union(*map(_asked, inner))
