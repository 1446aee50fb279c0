"""What is allowed in a rules file and yet likely a mistake, or good to know."""

from typing import Any

import yaml
from pydantic import SecretStr

from sinks import fields, shelf
from sinks.conditions import Conditions
from sinks.rules import Rules

_NEED_ALERT = frozenset({*fields.ENRICHED, *fields.NUMBERS})
_NEED_LOOK_UP = fields.LOOKED_UP


def remarks(rules: Rules, text: str) -> list[str]:
    """Return a sentence for each: unused targets, rules that are the same, secrets in clear, what needs the alert."""
    return [*_targets(rules), *_twins(rules), *_secrets(text), *_needs(rules)]


def _targets(rules: Rules) -> list[str]:
    used = {target for rule in rules.rules for target in rule.notify}
    return [f"target {name}: no rule notifies it" for name in rules.targets if name not in used]


def _twins(rules: Rules) -> list[str]:
    return [
        f"rule {rule.name}: tells nobody that rule {earlier.name} does not tell already"
        for index, rule in enumerate(rules.rules)
        for earlier in rules.rules[:index]
        if earlier.match == rule.match and set(rule.notify) <= set(earlier.notify)
    ]


def _secrets(text: str) -> list[str]:
    targets: dict[str, dict[str, Any]] = yaml.safe_load(text)["targets"]
    return [
        f"target {name}: {key} stands in the file in clear; write it as ${{NAME}} or file:/path"
        for name, entry in targets.items()
        for key, value in entry.items()
        if _is_secret(entry["type"], key) and "${" not in str(value) and not str(value).startswith("file:")
    ]


def _is_secret(type_: str, key: str) -> bool:
    field = shelf.find(type_).Settings.model_fields.get(key)
    return field is not None and SecretStr.__name__ in str(field.annotation) and field.is_required()


def _needs(rules: Rules) -> list[str]:
    said = []
    for rule in rules.rules:
        asked = _asked(rule.match)
        if needed := sorted(asked & _NEED_ALERT):
            then = "notifies" if rule.when_unknown == "match" else "does not notify"
            said.append(f"rule {rule.name}: needs the alert for {', '.join(needed)}; while that is not known it {then}")
        if looked_up := sorted(asked & _NEED_LOOK_UP):
            said.append(f"rule {rule.name}: knows names of {', '.join(looked_up)} only if the API key may look them up")
    return said


def _asked(match: Conditions) -> set[str]:
    asked = set(match.model_dump(exclude_defaults=True)) - {"any", "all", "not_"}
    inner = [*match.any, *match.all, *([match.not_] if match.not_ else [])]
    return asked.union(*map(_asked, inner))
