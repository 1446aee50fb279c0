"""What one event says, in the words of the page: pure, nothing about storing or showing."""

from dataclasses import dataclass
from typing import Any

from events.records import EnrichedEvent
from inbox.text import clean, link

LEVELS = ((80, "urgent"), (60, "major"), (40, "high"), (20, "moderate"), (0, "low"))
"""Levels of our own by urgency, 0 to 100: the vendor's words differ between its API and its screens."""

URGENT, UNKNOWN = "urgent", "unknown"
LINE, TEXT = 200, 2000


@dataclass(frozen=True)
class Notification:
    """One event; an empty text or None is what is not known."""

    event_id: str
    revision: int
    thread: str
    type: str
    action: str
    received_at: float
    happened_at: float
    headline: str
    text: str
    author: str
    tenant: str
    community: str
    community_name: str
    pending: str
    title: str
    entity: str
    rule: str
    status: str
    short_id: str
    source: str
    target: str
    link: str
    urgency: int | None

    @property
    def level(self) -> str:
        """The level's name, `unknown` without an urgency."""
        return level(self.urgency)


def level(urgency: int | None) -> str:
    """Return the level an urgency of 0 to 100 belongs to."""
    return UNKNOWN if urgency is None else next(name for least, name in LEVELS if urgency >= least)


def read(event: EnrichedEvent) -> Notification:
    """Say what happened; anything absent or of a wrong type is left out."""
    given, alert = event.event.attributes, event.alert or {}
    headline, text, author = _happened(event)
    happened = event.event.created_at or event.received_at
    return Notification(
        event_id=event.event_id,
        revision=event.revision,
        thread=_thread(event),
        type=clean(event.event.type, 60) or "event",
        action=clean(event.event.action, 60),
        received_at=event.received_at.timestamp(),
        happened_at=happened.timestamp(),
        headline=headline,
        text=text,
        author=author,
        tenant=clean(event.tenant, LINE),
        community=clean(event.event.community_uuid or alert.get("community_uuid"), LINE),
        community_name=clean(_name(event.names.get("community")), LINE),
        pending=_pending(event),
        title=clean(alert.get("title") or given.get("title") or given.get("rule_name") or given.get("name"), LINE),
        entity=clean(_object(alert, "entity").get("name") or given.get("entity_name"), LINE),
        rule=clean(_object(alert, "rule").get("name") or given.get("rule_name"), LINE),
        status=_status(event),
        short_id=clean(event.event.short_id or alert.get("short_id"), 60),
        source=clean(alert.get("source"), LINE),
        target=clean(alert.get("target"), LINE),
        link=link(event.links.alert),
        urgency=_urgency(event),
    )


def _thread(event: EnrichedEvent) -> str:
    """Return what this event is about: everything about one alert, case or report meets in one thread."""
    about = event.event.alert_uuid or event.event.attributes.get("uuid")
    return f"{event.tenant}/{about if isinstance(about, str) and about else event.event_id}"


def _happened(event: EnrichedEvent) -> tuple[str, str, str]:
    """Return a headline, a text and its author."""
    kind, action, given = event.event.type, event.event.action, event.event.attributes
    if kind == "alert":
        details = clean((event.alert or {}).get("details"), TEXT, lines=True)
        headlines = {"created": "Alert raised", "deleted": "Alert deleted"}
        return headlines.get(action) or _changed(event), details if action == "created" else "", ""
    if kind == "alert-comment":
        comment = _comment(event)
        author = clean(comment.get("author") or given.get("author") or given.get("created_by"), LINE)
        return "Comment", clean(comment.get("content") or given.get("content"), TEXT, lines=True), author
    words = {"content-proposal": "Report", "case": "Case"}.get(kind, clean(kind, 60).replace("-", " ").capitalize())
    if action == "updated":
        return f"{words or 'Event'} changed" + _fields(given), "", ""
    text = given.get("description") or given.get("content") or given.get("message")
    headline = f"{words} {clean(action, 60).replace('-', ' ')}".strip()
    return headline or "Event", clean(text, TEXT, lines=True), ""


def _changed(event: EnrichedEvent) -> str:
    """Say what an update changed: status, urgency, more similar events, or the names of the fields."""
    updated = _object(event.event.attributes, "updated")
    if updated.get("status"):
        name = clean(updated.get("status_name"), 60) or _status(event)
        return f"Status changed to {name}" if name else "Status changed"
    if set(updated) == {"similar"}:
        return f"{clean(updated['similar'], 20)} similar events"
    urgency = [value for name, value in updated.items() if "urgency" in name and isinstance(value, int | float)]
    if urgency:
        return f"Urgency now {int(urgency[0])}"
    return "Alert changed" + _fields(event.event.attributes)


def _fields(given: dict[str, Any]) -> str:
    names = ", ".join(clean(name, 60).replace("_", " ") for name in _object(given, "updated"))
    return f": {clean(names, LINE)}" if names else ""


def _comment(event: EnrichedEvent) -> dict[str, Any]:
    known = (event.alert or {}).get("comments")
    wanted = event.event.attributes.get("uuid")
    comments = [each for each in known if isinstance(each, dict)] if isinstance(known, list) else []
    return next((each for each in comments if wanted and each.get("uuid") == wanted), {})


def _status(event: EnrichedEvent) -> str:
    """Return the status as people named it; a community renames its own, so the name is only shown."""
    alert, given = event.alert or {}, event.event.attributes
    known = _object(alert, "custom_status").get("label") or _object(alert, "status").get("name")
    return clean(known or _object(given, "updated").get("status_name") or given.get("status_name"), 60)


def _urgency(event: EnrichedEvent) -> int | None:
    value = _object(event.alert, "urgency").get("current_value")
    if value is None:
        value = event.event.attributes.get("urgency_current_value")
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - not a number
        return None
    return int(min(max(value, 0), 100))


def _pending(event: EnrichedEvent) -> str:
    if event.enrichment.status not in {"pending", "unavailable"}:
        return ""
    words = "Details not available" + (" yet" if event.enrichment.status == "pending" else "")
    reason = clean(event.enrichment.reason, LINE)
    return f"{words}: {reason}" if reason else words


def _object(value: Any, name: str) -> dict[str, Any]:
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def _name(value: Any) -> Any:
    return value.get("name") if isinstance(value, dict) else value
