"""The records on the topics: frozen, and tolerant of fields Sekoia adds."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from events.trace import well_formed

_Object = Annotated[
    dict[str, Any],
    BeforeValidator(lambda value: {} if value is None else value),
    WithJsonSchema({"type": ["object", "null"], "additionalProperties": True}),
]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class WebhookEvent(_Record):
    """What Sekoia posted; only `type` and `action` are always there."""

    type: str
    action: str
    attributes: _Object = Field(default_factory=dict)
    metadata: _Object = Field(default_factory=dict)

    @property
    def community_uuid(self) -> str | None:
        """The tenant's community in the vendor's platform."""
        return _text(self.metadata.get("community_uuid"))

    @property
    def alert_uuid(self) -> str | None:
        """The alert this event is about, or None where it is about something else."""
        if self.type == "alert":
            return _text(self.attributes.get("uuid"))
        return _text(self.attributes.get("alert_uuid"))

    @property
    def short_id(self) -> str | None:
        """The id a person reads: `AL…` for an alert, `CA…` for a case."""
        return _text(self.attributes.get("alert_short_id")) or _text(self.attributes.get("short_id"))

    @property
    def created_at(self) -> datetime | None:
        """When the event happened; the vendor's table and example name the field differently."""
        return _time(self.metadata.get("created_at") or self.metadata.get("created"))


class Enrichment(_Record):
    """How far the Alert API could answer for this event."""

    status: Literal["complete", "pending", "unavailable", "not_applicable"]
    reason: str | None = None
    fetched_at: AwareDatetime | None = None
    attempts: int = Field(
        0,
        ge=0,
        exclude_if=lambda value: not value,
        description="How often the stream went to fetch the alert; missing where it had it at hand, or needs none.",
    )


class Links(_Record):
    """Addresses a person can open."""

    alert: str | None = None


class EnrichedEvent(_Record):
    """One event with what is known about it; unique by (`event_id`, `revision`)."""

    event_id: str
    revision: int = Field(0, ge=0, le=1, description="0 first; 1 completes a revision 0 that was pending.")
    received_at: AwareDatetime
    tenant: str = "default"
    hook: str = ""
    origin: str = "webhook"
    traceparent: Annotated[str | None, BeforeValidator(well_formed)] = Field(
        None, exclude_if=lambda value: value is None, description="W3C trace context of the webhook, where it had one."
    )
    event: WebhookEvent
    alert: dict[str, Any] | None = Field(None, description="The alert as the Alert API lists it.")
    names: dict[str, Any] = Field(default_factory=dict, description="Looked-up names: community, assets, case, report.")
    enrichment: Enrichment
    links: Links = Links()

    @property
    def urgency(self) -> int | None:
        """The alert's current urgency, 0 to 100, rounded down; None when it is not known, or not about an alert."""
        known = (self.alert or {}).get("urgency")
        return urgency_of(known.get("current_value") if isinstance(known, dict) else None, self.event.attributes)


def urgency_of(stated: object, attributes: Mapping[str, Any]) -> int | None:
    """Return the urgency an alert states, else the one its webhook does; 0 to 100, rounded down, None when neither does."""
    value = attributes.get("urgency_current_value") if stated is None else stated
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(min(max(value, 0), 100))


Outcome = Literal["delivered", "accepted", "digested", "muted", "by_fallback", "dead_letter", "skipped_replay"]


class Receipt(_Record):
    """What became of one event at one target."""

    event_id: str
    revision: int = 0
    alert: str | None = Field(None, description="The alert's uuid.")
    target: str
    outcome: Outcome
    rules: tuple[str, ...] = ()
    rules_version: str = Field("", description="SHA-256 of the rules file that decided.")
    digest_id: str | None = None
    replay_id: str | None = None
    attempts: int = 1
    status: str = Field("", description="What the target answered, in a few words.")
    run_id: str | None = Field(None, description="The target's own name for the delivery, when it gives one.")
    latency: float | None = Field(None, description="Seconds from the webhook's arrival to the target's answer.")
    received_at: AwareDatetime | None = Field(None, description="When the event came in.")
    similar: float | None = Field(None, description="How many events the alert grouped by then.")
    may_repeat: bool | None = Field(
        None, description="True when a sink was cut off while it posted the event: it may have been shown twice."
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
