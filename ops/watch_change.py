"""A change of a condition, and the record that tells of it."""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from events.headers import URGENCY, enriched_headers
from events.records import EnrichedEvent, Enrichment, Links, WebhookEvent
from events.state_changes import ORIGIN, RAISED, RECOVERED, TYPE
from ops.conditions import PAGE, split

CRITICAL, WARNING = 95, 80
"""Urgency of what begins: told before the alerts that wait, for these may wait because of it."""


@dataclass
class Change:
    """A condition began or ended, and who has heard of it so far; times are Unix seconds."""

    key: str
    raised: bool
    since: float
    at: float
    detail: str = ""
    gone: bool = False
    """Whether it ended because nothing is left to look at: nobody can say then that it is well."""
    told: list[str] = field(default_factory=list)
    """Targets the watch has told itself."""
    refused: list[str] = field(default_factory=list)
    """Targets that refused it for good: their sink buries it, where it is found."""
    tried: bool = False
    """Whether Kafka may have it already."""

    @property
    def id(self) -> str:
        """The event id: the same whenever and by whichever life of the watch it is told."""
        return f"{TYPE}/{self.key}/{int(self.since * 1000)}/{RAISED if self.raised else RECOVERED}"

    @property
    def record_key(self) -> bytes:
        """The key of the record: all changes of one condition meet in one partition, in order."""
        return f"{TYPE}/{self.key}".encode()

    def as_json(self) -> dict[str, Any]:
        """Return what `Change(**…)` takes."""
        return asdict(self)

    def _title(self) -> str:
        condition, subject = split(self.key)
        raised = condition.raised.format(subject=subject)
        if self.raised:
            return raised
        return f"Not watched any more: {raised}" if self.gone else condition.recovered.format(subject=subject)

    def event(self, runbook: str = "") -> EnrichedEvent:
        """Return the record; `runbook` is where the page of the runbook is read, if anywhere."""
        condition, subject = split(self.key)
        began, now = (datetime.fromtimestamp(seconds, UTC) for seconds in (self.since, self.at))
        attributes: dict[str, Any] = {
            "uuid": self.record_key.decode(),  # what meets in one thread of the bell
            "title": self._title(),
            "condition": condition.name,
            "subject": subject,
            "since": f"{began:%Y-%m-%d %H:%M:%S} UTC",
            "runbook": condition.runbook,
            "description": " ".join(filter(None, (self.detail and f"{self.detail}.", condition.meaning))),
            "told": list(self.told),
        }
        if condition.of_target:
            attributes["target"] = subject
        if self.raised:
            attributes["urgency_current_value"] = CRITICAL if condition.critical else WARNING
        else:
            attributes["ended"] = f"{now:%Y-%m-%d %H:%M:%S} UTC"
            attributes["description"] = self.detail and f"{self.detail}."
        anchor = condition.runbook.removeprefix(PAGE)
        return EnrichedEvent(
            event_id=self.id,
            received_at=now,
            origin=ORIGIN,
            event=WebhookEvent(
                type=TYPE,
                action=RAISED if self.raised else RECOVERED,
                attributes=attributes,
                metadata={"created_at": now.isoformat()},
            ),
            enrichment=Enrichment(status="not_applicable"),
            links=Links(alert=f"{runbook}{anchor}" if runbook else None),
        )


def headers(event: EnrichedEvent) -> list[tuple[str, bytes]]:
    """Return the headers of its record; a recovery, which has no urgency to show, is read as early as what it ends."""
    found = enriched_headers(event)
    return found if event.urgency is not None else [*found, (URGENCY, str(WARNING).encode())]
