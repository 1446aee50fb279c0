"""Everything the stream counts."""

from prometheus_client import Counter, Gauge, Histogram

DEDUPLICATED = Counter("tocsin_stream_deduplicated_total", "Records dropped because their event id was seen.")
ENRICHED = Counter("tocsin_stream_enriched_total", "Enriched records written.", ["status"])
DEAD_LETTERS = Counter("tocsin_stream_dead_letters_total", "Records that were buried.", ["cause"])
DEAD_LETTERS.labels("malformed")  # shown as 0, so that the first one is an increase
PENDING = Gauge("tocsin_stream_pending", "Events written without their alert, to be completed.")
PARTITIONS = Gauge("tocsin_stream_partitions", "Partitions owned and ready.")
MARKS = Gauge("tocsin_stream_marks", "Event ids remembered.")
API_CALLS = Counter("tocsin_stream_api_calls_total", "Calls to the Alert API.", ["outcome"])
API_BATCH = Histogram(
    "tocsin_stream_api_batch_size", "Alerts asked for in one call.", buckets=(1, 2, 5, 10, 20, 50, 100)
)
CACHE = Counter("tocsin_stream_cache_total", "Questions about an alert, by whether the cache had it.", ["outcome"])
BREAKER = Gauge("tocsin_stream_breaker_open", "1 while no call to the Alert API is made, because of its errors.")
KEY_REFUSED = Gauge("tocsin_stream_api_key_refused", "1 while the Alert API refuses the key.")
BUDGET_LEFT = Gauge("tocsin_stream_api_calls_left_per_second", "Calls this worker might have made and did not, lately.")
OLDEST = Gauge("tocsin_stream_oldest_unacknowledged_seconds", "Age of the oldest event that is not acknowledged.")


_lookups = {True: CACHE.labels("hit"), False: CACHE.labels("miss")}
"""Found once: to look a label's counter up for each record took a twentieth of a worker's time."""


def looked_up(*, known: bool) -> None:
    """Count a question about an alert by whether the cache had it."""
    _lookups[known].inc()
