"""The conditions of a rule, compiled once to closures that answer yes, no, or not known yet."""

import operator
import re
from collections.abc import Callable
from fnmatch import translate
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from sinks import fields
from sinks.hours import Hours, within
from sinks.verdict import Condition, Verdict, every, negate, some

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_THRESHOLD = re.compile(r"\s*(>=|<=|>|<|=)\s*(\d{1,6})\s*")
_ADDRESS = re.compile(r"[0-9a-fA-F:.]*[:.][0-9a-fA-F:.]+")
_LEVELS = {"low": (0, 20), "moderate": (20, 40), "high": (40, 60), "major": (60, 80), "urgent": (80, 101)}

_Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address


def _threshold(text: object) -> object:
    if isinstance(text, str) and _THRESHOLD.fullmatch(text):
        return text
    raise ValueError("write a comparison such as '>= 70'")


def _level(text: object) -> object:
    if isinstance(text, str) and (_THRESHOLD.fullmatch(text) or text.strip().lower() in _LEVELS):
        return text
    raise ValueError("write a comparison such as '>= 70', or low, moderate, high, major or urgent")


def _flag(value: object) -> object:
    if isinstance(value, bool):
        return value
    raise ValueError("write true or false")


Names = Annotated[
    list[str],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""One pattern or several, of which one must fit; `*` and `?` as in file names, case does not count."""

Threshold = Annotated[str, BeforeValidator(_threshold)]
Level = Annotated[str, BeforeValidator(_level)]

Flag = Annotated[bool, BeforeValidator(_flag), WithJsonSchema({"type": "boolean"})]


class Conditions(BaseModel):
    """What an event must be; all conditions given must hold, so none given is every event."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True)

    type: Names = Field(default_factory=list, description="alert, alert-comment, case, content-proposal, …")
    action: Names = Field(default_factory=list, description="created, updated, deleted, …")
    changed: Names = Field(default_factory=list, description="Field an update names: status, similar, …")
    tenant: Names = Field(default_factory=list, description="Tenant of this installation.")
    hook: Names = Field(default_factory=list, description="Hook it came in by.")
    origin: Names = Field(default_factory=list, description="webhook or catch-up.")
    urgency: Level | None = Field(None, description="'>= 70', or a level: low, moderate, high, major, urgent.")
    asset_criticality: Threshold | None = Field(None, description="Such as '>= 80'.")
    similar: Threshold | None = Field(None, description="How many events the alert groups.")
    status: Names = Field(default_factory=list, description="Name of the alert's status.")
    stage: Names = Field(default_factory=list, description="Stage of a custom status: Open, In progress, Closed.")
    entity: Names = Field(default_factory=list, description="Name or uuid of the alert's entity.")
    rule: Names = Field(default_factory=list, description="Name or uuid of the detection rule.")
    alert_type: Names = Field(default_factory=list, description="malware, brute-force, phishing, …")
    category: Names = Field(default_factory=list, description="malicious-code, intrusion-attempts, …")
    asset: Names = Field(default_factory=list, description="Name or uuid of an asset.")
    community: Names = Field(default_factory=list, description="Name or uuid of the community.")
    kill_chain: Names = Field(default_factory=list, description="Short id of the kill chain's phase.")
    source: Names = Field(default_factory=list, description="Name, address, or network such as 10.0.0.0/8.")
    target: Names = Field(default_factory=list, description="Name, address, or network such as 10.0.0.0/8.")
    pattern: Names = Field(default_factory=list, description="Text of the detection rule.")
    severity: Threshold | None = Field(None, description="Of the detection rule, such as '>= 70'.")
    name: Names = Field(default_factory=list, description="Of a report, a catalog rule, a case.")
    description: Names = Field(default_factory=list, description="Of a report, a catalog rule, a case.")
    tlp: Names = Field(default_factory=list, description="Of a report.")
    threat: Names = Field(default_factory=list, description="Of a report.")
    sector: Names = Field(default_factory=list, description="Of a report.")
    country: Names = Field(default_factory=list, description="Of a report.")
    confidence: Threshold | None = Field(None, description="Of a report, such as '>= 70'.")
    flint: Flag | None = Field(None, description="Whether a report is one of the vendor's own (FLINT).")
    intake: Names = Field(default_factory=list, description="Name or uuid of an intake that fell silent.")
    crashed: Flag | None = Field(None, description="Whether a playbook that failed also stopped.")
    when: Hours | None = Field(None, description="Only at these times; the time is that of the event's arrival.")
    any: list["Conditions"] = Field(default_factory=list, description="One of these must hold.")
    all: list["Conditions"] = Field(default_factory=list, description="All of these must hold.")
    not_: "Conditions | None" = Field(None, alias="not", description="This must not hold.")


Answer = Callable[[Any, bool], Verdict]
"""What one condition says of its field's value; the second is whether the alert is still waited for."""


def compile_conditions(conditions: Conditions) -> Condition:
    """Return one function for all conditions."""
    # What is cheap to know and often a no comes first.
    return every([*(_of_field(name, answer) for name, answer in answers(conditions)), *beyond_fields(conditions)])


def answers(conditions: Conditions) -> list[tuple[str, Answer]]:
    """Return the conditions that look at the value of one field, by the field's name."""
    given = {name: value for name in Conditions.model_fields if (value := getattr(conditions, name)) not in (None, [])}
    texts = [name for name in (*fields.ALWAYS, *fields.REPORTED, *fields.ENRICHED) if name in given]
    found = [(name, _texts(given[name], name)) for name in texts]
    found += [(name, _compare(given[name])) for name in fields.NUMBERS if name in given]
    return [*found, *((name, _is(given[name])) for name in fields.FLAGS if name in given)]


def beyond_fields(conditions: Conditions) -> list[Condition]:
    """Return the other conditions: times, and conditions of conditions."""
    checks = [_when(conditions.when)] if conditions.when else []
    checks += [compile_conditions(one) for one in conditions.all]
    if conditions.any:
        checks.append(some([compile_conditions(one) for one in conditions.any]))
    if conditions.not_:
        checks.append(negate(compile_conditions(conditions.not_)))
    return checks


def _of_field(name: str, answer: Answer) -> Condition:
    return lambda facts: answer(facts[name], facts.waits(name))


def _texts(patterns: list[str], name: str) -> Answer:
    fits = _pattern(patterns)
    if name in fields.ALWAYS:
        return lambda values, _: fits(values)
    if name in fields.LOOKED_UP:  # a look-up may still add a name that fits
        return lambda values, waiting: True if fits(values) else None if waiting else False
    return lambda values, waiting: True if fits(values) else None if waiting and not values else False


def _compare(threshold: str) -> Answer:
    match = _THRESHOLD.fullmatch(threshold)
    if match:
        compare, limit = _COMPARISONS[match[1]], float(match[2])
        return _number(lambda value: compare(value, limit))
    least, below = _LEVELS[threshold.strip().lower()]
    return _number(lambda value: least <= value < below)


def _number(holds: Callable[[float], bool]) -> Answer:
    def answer(value: float | None, waiting: bool) -> Verdict:
        if value is None:
            return None if waiting else False
        return holds(value)

    return answer


def _is(wanted: bool) -> Answer:
    return lambda value, waiting: value is wanted if value is not None else None if waiting else False


def _when(hours: Hours) -> Condition:
    inside = within(hours)
    return lambda facts: inside(facts.event.received_at)


def _pattern(patterns: list[str]) -> Callable[[tuple[str, ...]], bool]:
    networks = [network for pattern in patterns if (network := _network(pattern))]
    compiled = re.compile("|".join(translate(pattern.casefold()) for pattern in patterns))

    @lru_cache(maxsize=256)  # the same rules, entities and assets come again and again
    def fits(values: tuple[str, ...]) -> bool:
        if any(compiled.match(value.casefold()) for value in values):
            return True
        addresses = [address for value in values for address in _addresses(value)] if networks else []
        return any(address in network for address in addresses for network in networks)

    return fits


def _network(pattern: str) -> _Network | None:
    try:
        return ip_network(pattern, strict=False) if "/" in pattern else None
    except ValueError:
        return None


def _addresses(value: str) -> list[_Address]:
    """Find the addresses in a source or target: "10.1.2.3", or "PC-7 (10.1.2.3)"."""
    found = []
    for text in _ADDRESS.findall(value[:500]):
        try:
            found.append(ip_address(text.rstrip(".")))
        except ValueError:
            continue
    return found
