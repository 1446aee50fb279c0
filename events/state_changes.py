"""What the pipeline says of itself: records of type `tocsin`, written by the watch and by nobody else."""

from events.records import EnrichedEvent

TYPE = "tocsin"
"""The `type` of such an event."""

ORIGIN = "watch"
"""Its `origin`; a webhook that calls itself `tocsin` has another one, for ingest sets it."""

RAISED, RECOVERED, CANARY = "raised", "recovered", "canary"
"""The `action`: a condition began, it ended, or a target is tried."""


def is_own(event: EnrichedEvent) -> bool:
    """Say whether the pipeline itself says this; what came in from outside never does."""
    return event.origin == ORIGIN and event.event.type == TYPE


def about(event: EnrichedEvent) -> str:
    """Return the target a change is about, empty where it is about something else."""
    name = event.event.attributes.get("target")
    return name if isinstance(name, str) else ""


def told(event: EnrichedEvent) -> tuple[str, ...]:
    """Return the targets the watch has told by itself, past Kafka or the sinks."""
    names = event.event.attributes.get("told")
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()
