"""The conditions of a rule, compiled once to closures that answer yes, no, or not known yet."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from sinks import cel, fields
from sinks.answers import LEVELS, THRESHOLD, Answer, of_flag, of_number, of_texts
from sinks.cel_text import Mistake
from sinks.facts import Facts
from sinks.hours import Hours, within
from sinks.verdict import Condition, Verdict, every, negate, some


def _threshold(text: object) -> object:
    if isinstance(text, str) and THRESHOLD.fullmatch(text):
        return text
    raise ValueError("write a comparison such as '>= 70'")


def _level(text: object) -> object:
    if isinstance(text, str) and (THRESHOLD.fullmatch(text) or text.strip().lower() in LEVELS):
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


def _expression(text: object) -> object:
    if not isinstance(text, str):
        raise ValueError("write a CEL expression in quotes")  # noqa: TRY004 - pydantic wants it so
    try:
        cel.compile_text(text)
    except Mistake as wrong:
        place = {"said": wrong.said, "line": wrong.line, "column": wrong.column}
        raise PydanticCustomError("cel", "{said} (at {line}:{column} of the expression)", place) from None
    return text


Expression = Annotated[str, BeforeValidator(_expression)]

Bounds = Annotated[
    list[Annotated[int, Field(ge=1, le=1_000_000_000, strict=True)]],
    BeforeValidator(lambda value: [value] if isinstance(value, int) else value),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "array", "items": {"type": "integer"}}]}),
]
"""One number or several."""

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
    recurrence: Bounds = Field(
        default_factory=list,
        description="Once each time the events the alert groups reach one of these: 10, or [10, 100, 1000].",
    )
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
    if_: Expression | None = Field(None, alias="if", description="A CEL expression, such as 'size(asset) > 3'.")


def compile_conditions(conditions: Conditions, rule: str = "") -> Condition:
    """Return one function for all conditions; it remembers nothing, the facts do, by the name of the rule."""
    # What is cheap to know and often a no comes first.
    at_hand = [_of_field(name, answer) for name, answer in answers(conditions)]
    return every([*at_hand, *beyond_fields(conditions, rule)])


def answers(conditions: Conditions) -> list[tuple[str, Answer]]:
    """Return the conditions that look at the value of one field, by the field's name."""
    given = {name: value for name in Conditions.model_fields if (value := getattr(conditions, name)) not in (None, [])}
    texts = [name for name in (*fields.ALWAYS, *fields.REPORTED, *fields.ENRICHED) if name in given]
    found = [(name, of_texts(given[name], name)) for name in texts]
    found += [(name, of_number(given[name])) for name in fields.NUMBERS if name in given]
    return [*found, *((name, of_flag(given[name])) for name in fields.FLAGS if name in given)]


def beyond_fields(conditions: Conditions, rule: str) -> list[Condition]:
    """Return the other conditions: times, what was told before, and conditions of conditions."""
    checks = [_when(conditions.when)] if conditions.when else []
    if conditions.recurrence:
        checks.append(_recurs(conditions.recurrence, rule))
    checks += [compile_conditions(one, rule) for one in conditions.all]
    if conditions.any:
        checks.append(some([compile_conditions(one, rule) for one in conditions.any]))
    if conditions.not_:
        checks.append(negate(compile_conditions(conditions.not_, rule)))
    if conditions.if_:
        checks.append(cel.condition(conditions.if_))
    return checks


def recurs(conditions: Conditions) -> bool:
    """Say whether what was told before matters, anywhere among these."""
    inner = [*conditions.any, *conditions.all, *([conditions.not_] if conditions.not_ else [])]
    return bool(conditions.recurrence) or any(map(recurs, inner))


def _of_field(name: str, answer: Answer) -> Condition:
    return lambda facts: answer(facts[name], facts.waits(name))


def _when(hours: Hours) -> Condition:
    inside = within(hours)
    return lambda facts: inside(facts.event.received_at)


def _recurs(bounds: list[int], rule: str) -> Condition:
    """Hold once for the highest bound reached, however far the count jumped; the rule told nothing so high before."""

    def check(facts: Facts) -> Verdict:
        now = facts["similar"]
        if now is None:
            return None if facts.waiting else False
        reached = max((bound for bound in bounds if bound <= now), default=None)
        return reached is not None and reached > facts.told_similar(rule)

    return check
