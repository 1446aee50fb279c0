"""What a person must know about an event, as plain text: what every chat message is drawn from."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from events.records import EnrichedEvent
from events.state_changes import CANARY, is_own
from sinks import digest_text
from sinks.text import clean

_LEVELS = ((80, "Urgent"), (60, "Major"), (40, "High"), (20, "Moderate"), (0, "Low"))
_KINDS = {"alert-comment": "Comment", "content-proposal": "Report"}
FALLBACK_FOR = "fallback_for"
"""Field of an event that goes to a fallback target: the target it was meant for."""

_SHORT, _LINE, _BODY = 60, 200, 2000
_MAX_LINK = 2000


@dataclass(frozen=True)
class Urgency:
    """How urgent an alert is, 0 to 100, with a level of our own: the vendor's words differ between API and screen."""

    value: int

    @property
    def level(self) -> str:
        """Low, Moderate, High, Major or Urgent."""
        return next(name for least, name in _LEVELS if self.value >= least)


@dataclass(frozen=True)
class Summary:
    """One event in the words of its reader; every text is clean, none is escaped for a client."""

    event_id: str
    title: str
    kind: str
    urgency: Urgency | None
    warning: str
    facts: tuple[tuple[str, str], ...]
    body: str
    link: str | None
    link_text: str = "Open in Sekoia.io"
    items: tuple[tuple[str, str], ...] = ()
    """Of a digest: what is named one by one, each a label and a title."""
    more: int = 0
    """Of a digest: how many are not named."""

    def text(self, usual: int, most: int) -> str:
        """Return the body within `usual` characters; of a digest, within `most`, all it names, titles shortened first."""
        return digest_text.lines(self.items, self.more, most) if self.items else self.body[:usual]


def headline(event: EnrichedEvent) -> tuple[str, str, str | None]:
    """Return title, kind and link alone: what a digest names an event by."""
    kind_line = _kind_line(event)
    return _title(event) or kind_line, kind_line, _link(event.links.alert)


def summarise(event: EnrichedEvent) -> Summary:
    """Say what happened; anything absent or of a wrong type is left out."""
    kind, title = event.event.type, _title(event)
    items: tuple[tuple[str, str], ...] = ()
    more = 0
    if kind == digest_text.TYPE:
        title, facts, items, more = digest_text.told(event.event.attributes)
        body = digest_text.lines(items, more, _BODY)
    elif kind == "alert":
        facts, body = _alert(event)
    elif kind == "alert-comment":
        facts, body = _comment(event)
    else:
        facts, body = _anything(event.event.attributes)
    kind_line = _kind_line(event)
    return Summary(
        event_id=event.event_id[:_LINE],
        title=title or kind_line,
        kind=kind_line,
        urgency=urgency(event),
        warning=_warning(event),
        facts=tuple((name, value) for name, value in facts if value),
        body=body,
        link=_link(event.links.alert),
        link_text=_link_text(event),
        items=items,
        more=more,
    )


def urgency(event: EnrichedEvent) -> Urgency | None:
    """Return the alert's current urgency; None when it is not known, or not about an alert."""
    value = event.urgency
    return None if value is None else Urgency(value)


def obj(value: Any, name: str) -> dict[str, Any]:
    """Return the object under a name, {} when there is none."""
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def _title(event: EnrichedEvent) -> str:
    alert, given = event.alert or {}, event.event.attributes
    if event.event.type == "alert":
        return clean(alert.get("title") or given.get("title") or given.get("rule_name"), _LINE)
    if event.event.type == "alert-comment":
        about = clean(alert.get("title") or event.event.short_id, _LINE)
        return f"Comment on {about}" if about else ""
    return clean(given.get("title") or given.get("name") or given.get("short_id"), _LINE)


def _alert(event: EnrichedEvent) -> tuple[list[tuple[str, str]], str]:
    facts = [*_alert_facts(event), ("Changed", _changed(event.event.attributes))]
    return facts, clean((event.alert or {}).get("details"), _BODY, lines=True)


def _alert_facts(event: EnrichedEvent) -> list[tuple[str, str]]:
    alert, given = event.alert or {}, event.event.attributes
    status = obj(alert, "custom_status").get("label") or obj(alert, "status").get("name") or given.get("status_name")
    kind = obj(alert, "alert_type")
    return [
        ("Rule", clean(obj(alert, "rule").get("name") or given.get("rule_name"), _LINE)),
        ("Entity", clean(obj(alert, "entity").get("name") or given.get("entity_name"), _LINE)),
        ("Source", clean(alert.get("source"), _LINE)),
        ("Target", clean(alert.get("target"), _LINE)),
        ("Status", clean(status, _SHORT)),
        ("Type", clean(" / ".join(str(v) for v in (kind.get("category"), kind.get("value")) if v), _LINE)),
        ("First seen", _time(alert.get("first_seen_at") or given.get("first_seen_at"))),
        ("Last seen", _time(alert.get("last_seen_at") or given.get("last_seen_at"))),
    ]


def _comment(event: EnrichedEvent) -> tuple[list[tuple[str, str]], str]:
    given = event.event.attributes
    known = (event.alert or {}).get("comments")
    comments = [c for c in known if isinstance(c, dict)] if isinstance(known, list) else []
    same = next((c for c in comments if c.get("uuid") and c.get("uuid") == given.get("uuid")), {})
    author = clean(same.get("author") or given.get("author") or given.get("created_by"), _LINE)
    return [("Author", author)], clean(given.get("content") or same.get("content"), _BODY, lines=True)


def _anything(given: dict[str, Any]) -> tuple[list[tuple[str, str]], str]:
    """Show a case, a report or a type not known yet by its own plain fields."""
    shown = {"title", "name", "description", "content", "uuid", "updated", "message", "told", "urgency_current_value"}
    plain = [(clean(name, _SHORT), clean(value, _LINE)) for name, value in given.items() if name not in shown]
    facts = [(name.replace("_", " ").capitalize(), value) for name, value in plain if name and value][:8]
    body = clean(given.get("description") or given.get("content") or given.get("message"), _BODY, lines=True)
    return [*facts, ("Changed", _changed(given))], body


def _kind_line(event: EnrichedEvent) -> str:
    kind = clean(event.event.type, _SHORT)
    words = [_KINDS.get(kind, kind.replace("-", " ").capitalize()), clean(event.event.action, _SHORT).replace("-", " ")]
    line = " ".join(word for word in words if word) or "Event"
    short_id = clean(event.event.short_id, _SHORT)
    return f"{line} · {short_id}" if short_id else line


def _warning(event: EnrichedEvent) -> str:
    extra = event.model_extra or {}
    instead_of = clean(extra.get(FALLBACK_FOR), _SHORT)
    by_fallback = f"Sent by fallback: {instead_of} does not take it" if instead_of else ""
    again = f"Sent again on request: it came in {event.received_at:%Y-%m-%d %H:%M} UTC" if extra.get("replay") else ""
    return clean(". ".join(filter(None, (by_fallback, again, _incomplete(event)))), _LINE)


def _incomplete(event: EnrichedEvent) -> str:
    """Say what of an event is not known."""
    reason = clean(event.enrichment.reason, _LINE)
    said = f": {reason}" if reason else ""
    if event.enrichment.status == "pending":
        return f"Details not available yet{said}"
    if event.enrichment.status == "unavailable":
        return f"Details not available{said}"
    return f"Not all details are shown{said}" if reason == "oversize" else ""


def _changed(given: dict[str, Any]) -> str:
    updated = obj(given, "updated")
    texts = {clean(name, _SHORT).replace("_", " "): clean(value, _SHORT) for name, value in updated.items()}
    return clean(", ".join(f"{name}: {value}" if value else name for name, value in texts.items()), _LINE)


def _time(value: Any) -> str:
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return clean(value, _SHORT)
    try:
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except OverflowError:
        return clean(value, _SHORT)


def _link_text(event: EnrichedEvent) -> str:
    if not is_own(event):
        return "Open in Sekoia.io"
    return "Confirm that it is seen" if event.event.action == CANARY else "Open the runbook"


def _link(url: str | None) -> str | None:
    fits = url is not None and url.startswith(("https://", "http://")) and len(url) <= _MAX_LINK
    return url if fits and url and url.isascii() and url.isprintable() and " " not in url else None
