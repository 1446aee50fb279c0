"""The metrics of a sink; target names, outcomes, urgency and causes are the only labels."""

import re
from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

DELIVERED = Counter("tocsin_sink_delivered_total", "Events a target took.", ["target", "outcome"])
DEAD_LETTERS = Counter("tocsin_sink_dead_letters_total", "Events a target can never take.", ["target", "cause"])
LATENCY = Histogram(
    "tocsin_sink_webhook_to_delivered_seconds",
    "From a webhook's arrival to the target's answer; what an operator sends again is not counted.",
    ["target", "urgency"],
    buckets=(0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3600, 21600),
)
DIGESTS = Counter("tocsin_sink_digests_total", "Messages that stood for several events.", ["target"])
OLDEST = Gauge("tocsin_sink_oldest_waiting_seconds", "Age of the oldest record read and not yet told.", ["target"])
UNMATCHED = Counter("tocsin_sink_unmatched_total", "Events no rule sends to the target.", ["target"])
MUTED = Counter("tocsin_sink_muted_total", "Events whose rules keep quiet at that time.", ["target"])
SPARED = Counter("tocsin_sink_spared_total", "Events read again that had a receipt already, so not sent.", ["target"])
PAUSED = Gauge("tocsin_sink_paused", "1 while a target is paused because its address is gone for good.", ["target"])
UNAVAILABLE = Gauge("tocsin_sink_unavailable", "1 while the target cannot be reached and its lag grows.", ["target"])
RELOADS = Counter("tocsin_sink_rules_reloads_total", "Times the rules file was read anew.", ["outcome"])


_latency = lru_cache(maxsize=1_000)(LATENCY.labels)
"""Asked for once per event: looking a label up costs more than counting."""


def told(target: str, latency: float, *, urgent: bool) -> None:
    """Count how long an event took from its webhook to its target (seconds)."""
    _latency(target, "urgent" if urgent else "other").observe(latency)


def cause(reason: str) -> str:
    """Return what kind of reason buried an event: what the target answered, by its code, or that it was malformed."""
    answer = re.match(r"(HTTP|SMTP) (\d{3})", reason)
    if answer:
        return f"{answer[1].lower()}_{answer[2]}"
    return "malformed" if reason.startswith("malformed") else "other"
