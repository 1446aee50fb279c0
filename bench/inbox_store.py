"""`python -m bench.inbox_store`: how quick the bell's page stays with 100,000 notifications in its store.

Medians of what a page asks the store for, in milliseconds: the newest rows, rows far down, one urgency, a text that few
alerts hold, a text that none does, the unread count, and what changed since a moment ago.
"""

import argparse
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from events.codec import encode
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from inbox import notification, reading
from inbox.database import Database
from inbox.filters import Filters
from inbox.listing import Listing
from inbox.store import Batch, Store
from sandbox import sample_alerts

PLACE = ("tocsin.enriched.v1", 0)
BATCH = 500
REPEATS = 15


def events(count):
    """Yield events of so many notifications; every third is about an alert seen before."""
    rng, now, alerts = random.Random(1), datetime.now(UTC) - timedelta(days=20), []
    for number in range(count):
        now += timedelta(days=20) / count
        if not alerts or rng.random() < 2 / 3:
            alert = sample_alerts.draw_alert(rng, community="c", now=now.timestamp(), assets=["a"])
            alerts.append(alert | {"uuid": f"00000000-0000-4000-8000-{number:012}", "short_id": f"AL{number}"})
        about = rng.choice(alerts[-500:])
        webhook = WebhookEvent(
            type="alert",
            action="created" if about is alerts[-1] else "updated",
            attributes={"uuid": about["uuid"], "short_id": about["short_id"]},
            metadata={"community_uuid": "c", "created_at": now.isoformat()},
        )
        yield EnrichedEvent(
            event_id=str(number), received_at=now, event=webhook, alert=about, enrichment=Enrichment(status="complete")
        )


def fill(store, count):
    """Store them as the feeder does, and return how many a second."""
    store.start_at({PLACE: 0})
    spent, batch, done = 0.0, [], 0
    for each in events(count):
        batch.append((notification.read(each), encode(each)))
        if len(batch) == BATCH:
            began = time.perf_counter()
            store.take(Batch(notifications=batch, positions={PLACE: (done, done + BATCH)}))
            spent += time.perf_counter() - began
            done, batch = done + BATCH, []
    return done / spent


def median_ms(database, ask):
    """Return the median of some answers."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        with database.reading() as connection:
            ask(connection)
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)


def main():
    parser = argparse.ArgumentParser(prog="python -m bench.inbox_store", description=__doc__)
    parser.add_argument("--notifications", type=int, default=100_000)
    count = parser.parse_args().notifications
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        database = Database(Path(folder) / "inbox.db")
        rate = fill(Store(database, 900.0), count)
        asks = {
            "page": lambda c: Listing(Filters(), "ana").page(c),
            "deep": lambda c: Listing(Filters(), "ana").page(c, count // 10),
            "alone": lambda c: Listing(Filters(group="none"), "ana").page(c),
            "urgent": lambda c: Listing(Filters(urgency=("urgent",)), "ana").page(c),
            "unread": lambda c: Listing(Filters(state="unread"), "ana").page(c),
            "text": lambda c: Listing(Filters(q=f"AL{count // 2}"), "ana").page(c),
            "no_text": lambda c: Listing(Filters(q="nobody wrote this"), "ana").page(c),
            "count": lambda c: reading.unread(c, "ana"),
            "changed": lambda c: Listing(Filters(), "ana").changed(c, count - 50),
        }
        figures = {name: median_ms(database, ask) for name, ask in asks.items()}
        size = (Path(folder) / "inbox.db").stat().st_size / 1e6
        database.close()
    print(f"stored_per_s={rate:.0f} mb={size:.0f}", *(f"{name}_ms={value:.1f}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
