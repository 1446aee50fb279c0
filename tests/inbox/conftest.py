"""An inbox in a temporary folder, and events to fill it with."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from events.codec import encode
from events.records import EnrichedEvent, Enrichment, Links, WebhookEvent
from inbox import notification
from inbox.database import Database
from inbox.store import Batch, Store

NOW = datetime(2026, 7, 29, 8, 0, tzinfo=UTC)
PLACE = ("tocsin.enriched.v1", 0)


def alert(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "uuid": f"00000000-0000-4000-8000-{number:012}",
        "short_id": f"AL{number:010}",
        "title": f"Alert {number}",
        "details": "It happened.",
        "urgency": {"current_value": 45},
        "rule": {"name": f"Rule {number}"},
        "entity": {"name": "Lyon"},
        "status": {"name": "Pending"},
    } | changes


def event(
    number: int = 1,
    *,
    action: str = "created",
    type_: str = "alert",
    at: float = 0,
    event_id: str = "",
    of: dict[str, Any] | None = None,
    given: dict[str, Any] | None = None,
    status: str = "complete",
    revision: int = 0,
    community: str = "c1",
    tenant: str = "default",
    link: str | None = None,
) -> EnrichedEvent:
    """Make an event about alert `number`, `at` seconds after NOW; `of` is the alert as far as it is known."""
    about = alert(number)
    ids = {"uuid": about["uuid"], "short_id": about["short_id"]}
    if type_ == "alert-comment":
        ids = {"uuid": "comment", "alert_uuid": about["uuid"], "alert_short_id": about["short_id"]}
    known = (about if of is None else of) if status == "complete" else None
    when = NOW + timedelta(seconds=at)
    return EnrichedEvent(
        event_id=event_id or f"{type_} {number} {action} {at}",
        revision=revision,
        received_at=when,
        tenant=tenant,
        event=WebhookEvent(
            type=type_,
            action=action,
            attributes=ids | (given or {}),
            metadata={"community_uuid": community, "created_at": when.isoformat()},
        ),
        alert=known,
        names={"community": f"Community {community}"},
        enrichment=Enrichment(status=status),  # type: ignore[arg-type]
        links=Links(alert=link if link is not None else f"https://app.example/operations/alerts/{about['short_id']}"),
    )


class Inbox:
    """A database and its writer, which counts offsets by itself."""

    def __init__(self, path: Path, burst: float = 900) -> None:
        self.database = Database(path)
        self.store = Store(self.database, burst)
        if PLACE not in self.store.positions():
            self.store.start_at({PLACE: 0})

    def take(self, *events: EnrichedEvent) -> None:
        offset = self.store.positions()[PLACE]
        rows = [(notification.read(each), encode(each)) for each in events]
        self.store.take(Batch(notifications=rows, positions={PLACE: (offset, offset + len(events))}))


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    made = Inbox(tmp_path / "inbox.db")
    yield made
    made.database.close()
