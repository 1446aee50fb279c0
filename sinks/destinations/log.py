"""The terminal: each event as one line, for trying out rules."""

import sys

from events.records import EnrichedEvent
from sinks.destination import Delivered, Destination, TargetSettings
from sinks.summary import summarise


class LogSettings(TargetSettings):
    """Nothing to set."""


class Log(Destination[LogSettings]):
    """Print each event to standard output; the same event twice is two lines."""

    Settings = LogSettings
    marks_attempts = False
    tells_people = False

    async def deliver(self, event: EnrichedEvent) -> Delivered:
        """Print the line."""
        summary = summarise(event)
        level = f"{summary.urgency.level} {summary.urgency.value}" if summary.urgency else "-"
        words = [level, summary.kind, summary.title, *(f"{name}={value}" for name, value in summary.facts)]
        words += [f"{label} {title}" for label, title in summary.items]
        sys.stdout.write(f"{summary.event_id}  {'  '.join(words)}\n")
        sys.stdout.flush()
        return Delivered("printed")
