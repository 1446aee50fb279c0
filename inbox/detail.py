"""One thread, whole: its timeline, its deliveries, and the record of its newest event."""

import sqlite3
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from inbox.notification import LINE
from inbox.text import clean

TIMELINE = 200
"""Entries shown, the newest; the count says how many there were."""


@dataclass(frozen=True)
class Detail:
    """What the drawer shows."""

    thread: sqlite3.Row
    timeline: list[sqlite3.Row]
    """Newest first by when it happened."""
    deliveries: list[sqlite3.Row]
    """Newest first."""
    record: dict[str, Any]
    """The newest enriched record; {} when it cannot be read."""
    known: dict[str, Any]
    """The newest record that has the alert; the newest of all where none has."""


def find(connection: sqlite3.Connection, thread: int) -> Detail | None:
    """Return a thread; None when it is not, or no longer, here."""
    row = connection.execute("SELECT * FROM threads WHERE id = ?", (thread,)).fetchone()
    if row is None:
        return None
    timeline = connection.execute(
        "SELECT * FROM (SELECT * FROM notifications WHERE thread = ? ORDER BY id DESC LIMIT ?) "
        "ORDER BY happened_at DESC, id DESC",
        (thread, TIMELINE),
    ).fetchall()
    deliveries = connection.execute(
        "SELECT d.*, n.headline FROM notifications n JOIN deliveries d ON d.event_id = n.event_id "
        "WHERE n.thread = ? ORDER BY d.at DESC, d.id DESC LIMIT ?",
        (thread, TIMELINE),
    ).fetchall()
    numbers = sorted((entry["id"] for entry in timeline), reverse=True)
    newest = record(connection, numbers[0]) if numbers else {}
    # Details of the newest event may still be on their way, or never come: what was known of the alert stays known.
    records = (record(connection, number) for number in numbers)
    known = newest if newest.get("alert") else next((each for each in records if each.get("alert")), newest)
    return Detail(row, timeline, deliveries, newest, known)


def record(connection: sqlite3.Connection, notification: int) -> dict[str, Any]:
    """Return the enriched record of one notification; {} when it is not here."""
    row = connection.execute("SELECT record FROM bodies WHERE notification = ?", (notification,)).fetchone()
    found = orjson.loads(zlib.decompress(row["record"])) if row else {}
    return found if isinstance(found, dict) else {}


def facts(found: Detail) -> list[tuple[str, str, str]]:
    """Return names, values, and the filters that narrow to them, for the drawer's table.

    What is not known is left out; the filter is "" where there is none.
    """
    thread, alert = found.thread, _object(found.known.get("alert"))
    kind = _object(alert.get("alert_type"))
    verdict, names = _object(alert.get("verdict")), _object(found.known.get("names"))
    assets = _object(names.get("assets"))
    kinds = {"Status": "status", "Entity": "entity", "Rule": "rule", "Community": "community", "Tenant": "tenant"}
    values = [
        ("Status", thread["status"]),
        ("Verdict", clean(verdict.get("label"), LINE)),
        ("Entity", thread["entity"]),
        ("Rule", thread["rule"]),
        ("Source", thread["source"]),
        ("Target", thread["target"]),
        ("Assets", clean(", ".join(clean(_object(each).get("name") or each, 60) for each in assets.values()), LINE)),
        (
            "Type",
            clean(" / ".join(clean(kind.get(name), 60) for name in ("category", "value") if kind.get(name)), LINE),
        ),
        ("Techniques", clean(", ".join(_names(alert.get("ttps"))), LINE)),
        ("Similar events", clean(alert.get("similar"), 20)),
        ("First seen", _seen(alert.get("first_seen_at"))),
        ("Last seen", _seen(alert.get("last_seen_at"))),
        ("Community", thread["community_name"] or thread["community"]),
        ("Tenant", "" if thread["tenant"] == "default" else thread["tenant"]),
    ]
    return [(name, value, kinds.get(name, "")) for name, value in values if value]


def description(found: Detail) -> str:
    """Return what the alert says about itself."""
    return clean(_object(found.known.get("alert")).get("details"), 4000, lines=True)


def _seen(value: Any) -> str:
    """Write the API's time for people; the vendor writes UTC in more than one way."""
    text = clean(value, 60)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _names(values: Any) -> list[str]:
    return [clean(_object(each).get("name"), 60) for each in values][:20] if isinstance(values, list) else []


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
