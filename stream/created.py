"""Marks beyond the event id: what makes a late webhook and a caught-up alert one."""

from collections.abc import Callable

from events.headers import RawHeaders
from events.records import WebhookEvent
from stream.marks import digest

CREATED = "created"
"""Header of the enriched record of a webhook `alert/created`: `<community>/<alert uuid>`."""
_PREFIX = "created:"
"""Catch-up knows an alert, not the webhook that was lost: its event ids are this and `<community>/<alert uuid>`."""


def created_by_webhook(event: WebhookEvent, headers: RawHeaders) -> str:
    """Return `<community>/<alert uuid>` of an alert's own webhook `created`, else nothing."""
    if event.type != "alert" or event.action != "created" or headers.event_id.startswith(_PREFIX):
        return ""
    uuid = event.alert_uuid
    return f"{event.community_uuid or ''}/{uuid.lower()}" if uuid else ""


def marks_of(event_id: str, created: str) -> tuple[bytes, ...]:
    """Return every mark that an event sets.

    Two different webhooks about one new alert stay two events; only where one of them was caught up they are one.
    """
    if created:
        return digest(event_id), digest(_PREFIX + created)
    if event_id.startswith(_PREFIX):
        return digest(event_id), _caught_up(event_id.removeprefix(_PREFIX))
    return (digest(event_id),)


def is_known(marks: tuple[bytes, ...], created: str, known: Callable[[bytes], bool]) -> bool:
    """Tell whether an event was seen, itself or as what catch-up made of it."""
    return known(marks[0]) or (bool(created) and known(_caught_up(created)))


def _caught_up(created: str) -> bytes:
    return digest(f"caught-up:{created}")
