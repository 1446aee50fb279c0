"""The conditions of a rule, compiled once to closures that answer yes, no, or not known yet."""

import operator
import re
from collections.abc import Callable
from fnmatch import translate
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from events.records import EnrichedEvent
from sinks.summary import obj, urgency

Verdict = bool | None
"""True, False, or None: the field is part of the alert, and the alert has not been fetched."""

Condition = Callable[[EnrichedEvent], Verdict]

_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_THRESHOLD = re.compile(r"\s*(>=|<=|>|<|=)\s*(\d{1,3})\s*")


def _threshold(text: object) -> object:
    if not isinstance(text, str) or not _THRESHOLD.fullmatch(text):
        raise ValueError("write a comparison with a number from 0 to 100, for example '>= 70'")
    return text


Names = Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
"""One pattern or several, of which one must fit; `*` and `?` as in file names, case does not count."""


class Conditions(BaseModel):
    """What an event must be; all conditions given must hold, so none given is every event."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: Names = Field(default_factory=list, description="alert, alert-comment, case, content-proposal, …")
    action: Names = Field(default_factory=list, description="created, updated, deleted, …")
    urgency: Annotated[str, BeforeValidator(_threshold)] | None = Field(None, description="Such as '>= 70'.")
    entity: Names = Field(default_factory=list, description="Name or uuid of the alert's entity.")
    rule: Names = Field(default_factory=list, description="Name or uuid of the detection rule.")


def compile_conditions(conditions: Conditions) -> Condition:
    """Return one function for all conditions: no beats not known, not known beats yes."""
    checks: list[Condition] = []
    if conditions.type:
        checks.append(_always(conditions.type, lambda event: event.event.type))
    if conditions.action:
        checks.append(_always(conditions.action, lambda event: event.event.action))
    if conditions.urgency:
        checks.append(_compare(conditions.urgency))
    if conditions.entity:
        checks.append(_of_alert(conditions.entity, "entity"))
    if conditions.rule:
        checks.append(_of_alert(conditions.rule, "rule"))

    def every(event: EnrichedEvent) -> Verdict:
        verdict: Verdict = True
        for check in checks:
            answer = check(event)
            if answer is False:
                return False
            if answer is None:
                verdict = None
        return verdict

    return every


def _always(patterns: list[str], field: Callable[[EnrichedEvent], str]) -> Condition:
    fits = _pattern(patterns)
    return lambda event: fits(field(event))


def _of_alert(patterns: list[str], name: str) -> Condition:
    fits = _pattern(patterns)

    def check(event: EnrichedEvent) -> Verdict:
        # The vendor's live stream names rule and entity in the event itself; such an event needs no look-up.
        inner, given = obj(event.alert, name), event.event.attributes
        values = (inner.get("name"), inner.get("uuid"), given.get(f"{name}_name"), given.get(f"{name}_uuid"))
        known = [value for value in values if isinstance(value, str)]
        return any(fits(value) for value in known) if known else _absent(event)

    return check


def _compare(threshold: str) -> Condition:
    match = _THRESHOLD.fullmatch(threshold)
    sign, number = match.groups() if match else (">=", "0")
    compare, limit = _COMPARISONS[sign], int(number)

    def check(event: EnrichedEvent) -> Verdict:
        known = urgency(event)
        return compare(known.value, limit) if known else _absent(event)

    return check


def _absent(event: EnrichedEvent) -> Verdict:
    """Answer for a field that is not there: not known while the alert has not been fetched, else no."""
    waiting = event.alert is None and event.enrichment.status in {"pending", "unavailable"}
    return None if waiting else False


def _pattern(patterns: list[str]) -> Callable[[Any], bool]:
    compiled = re.compile("|".join(translate(pattern.casefold()) for pattern in patterns))
    return lambda value: compiled.match(value.casefold()) is not None
