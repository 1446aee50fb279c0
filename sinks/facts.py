"""What rules ask of one event, and what they told of its alert before."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from events.records import EnrichedEvent
from sinks.fields import OF_REPORT, READ


@dataclass(frozen=True, slots=True)
class LastTold:
    """What a rule told last of one alert: when that event came in, and the highest number of grouped events."""

    at: datetime
    similar: float


Told = Callable[[str], LastTold | None]
"""From the name of a rule to what it told last of the alert at hand."""

CROSSINGS_KEPT = timedelta(days=7)
"""How long after it was last told of an alert a target remembers which numbers of grouped events it was told."""


def nothing(_rule: str) -> LastTold | None:
    """Remember nothing."""
    return None


class Facts(dict[str, Any]):
    """What rules ask of one event, each read once however many rules ask for it: tuples of texts, a number, a flag."""

    def __init__(self, event: EnrichedEvent, told: Told = nothing) -> None:
        super().__init__()
        self.event = event
        self.waiting = event.alert is None and event.enrichment.status in {"pending", "unavailable"}
        self.untold = event.event.type == "content-proposal"
        self._told = told
        self.view: Any = None
        """What CEL expressions see of the event, once one has asked."""

    def told_similar(self, rule: str) -> float:
        """Return the highest number of grouped events a rule told of this alert not long ago; -1 when it told none."""
        last = self._told(rule)
        return last.similar if last and self.event.received_at - last.at < CROSSINGS_KEPT else -1

    def waits(self, name: str) -> bool:
        """Say whether a field the event does not tell may have any value: the alert is not known, or the report."""
        return self.untold if name in OF_REPORT else self.waiting

    def __missing__(self, name: str) -> tuple[str, ...] | float | bool | None:
        value: tuple[str, ...] | float | bool | None = READ[name](self.event)
        self[name] = value
        return value
