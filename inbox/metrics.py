"""The metrics of the inbox."""

from prometheus_client import Counter, Gauge, Histogram

NOTIFICATIONS = Counter("tocsin_inbox_notifications_total", "Enriched records written to the inbox.")
RECEIPTS = Counter("tocsin_inbox_receipts_total", "Receipts written to the inbox.")
UNREADABLE = Counter("tocsin_inbox_unreadable_total", "Records that could not be decoded, and were passed over.")
LAG = Gauge("tocsin_group_lag_records", "Records a stage or target has still to do.", ["group"])
GROUP_OLDEST = Gauge("tocsin_group_oldest_seconds", "Age of the oldest of them.", ["group"])
KAFKA_AWAY = Gauge("tocsin_inbox_kafka_away", "1 while the lag of the groups cannot be read.")
PAGES = Gauge("tocsin_inbox_open_pages", "Pages that receive live messages.")
MESSAGES = Counter("tocsin_inbox_messages_total", "Live messages made; every page of one filter gets the same.")
DROPPED = Counter("tocsin_inbox_dropped_pages_total", "Pages too slow for their messages; they resume by themselves.")
REFUSED = Counter("tocsin_inbox_refused_total", "Requests not let in, by reason.", ["reason"])
AGE = Histogram(
    "tocsin_inbox_age_seconds",
    "From a webhook's arrival to its row in the inbox.",
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 2, 5, 15, 60),
)
