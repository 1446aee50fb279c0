"""The live line: what flows, counted from the rooms' own metrics, as totals since the start and as rates."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name and labels."""

RATE_OVER = 10.0
"""Seconds a rate looks back."""

STEPS: dict[str, tuple[str, ...]] = {
    "accepted": ("tocsin_ingest_accepted_total",),
    "deduplicated": ("tocsin_stream_deduplicated_total",),
    "enriched": ("tocsin_stream_enriched_total",),
    "delivered": ("tocsin_sink_delivered_total",),
    "archived": ("tocsin_archive_rows_total",),
    "dead letters": (
        "tocsin_stream_dead_letters_total",
        "tocsin_sink_dead_letters_total",
        "tocsin_archive_dead_letters_total",
    ),
}
"""What the line shows, in the order of the flow, and which counters tell it."""

IF_ANY = "dead letters"
"""Shown only where there are some."""

SHORTER = {"accepted": "in", "deduplicated": "dup", "dead letters": "dead"}
"""For a terminal of 80 columns."""

REACHED = {"delivered", "accepted", "digested", "by_fallback"}
"""Outcomes that mean a person can see it; the label is `outcome`."""


def scrape(text: str) -> dict[Series, float]:
    """Read the counters the line is made of from a room's metrics page.

    Raises ValueError when the page is not in Prometheus' text format.
    """
    wanted = {name for names in STEPS.values() for name in names}
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in wanted and sample.labels.get("outcome", "delivered") in REACHED
    }


class Totals:
    """Counters that go on counting when a room restarts and begins at zero again."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, Series], float] = {}
        self._total: Counter[str] = Counter()

    def take(self, room: str, counters: Mapping[Series, float]) -> None:
        """Add what a room counted since its page was last read."""
        for series, value in counters.items():
            last = self._last.get((room, series), 0.0)
            self._total[series[0]] += round(value - last if value >= last else value)
            self._last[room, series] = value
        for known in [key for key in self._last if key[0] == room and key[1] not in counters]:
            self._last[known] = 0.0  # restarted, and has not counted this yet

    def of(self, step: str) -> int:
        """Return the total of a step."""
        return sum(self._total[name] for name in STEPS[step])


class Rate:
    """How much a total grew per second of late."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, now: float, total: int) -> float:
        """Note the total at this time in seconds, and return the rate over the last RATE_OVER seconds."""
        self._seen.append((now, total))
        while now - self._seen[0][0] > RATE_OVER:
            self._seen.popleft()
        since, before = self._seen[0]
        return (total - before) / (now - since) if now > since else 0.0


@dataclass(frozen=True)
class Flow:
    """One look at the pipeline."""

    totals: Mapping[str, int]
    rates: Mapping[str, float]
    lag: Mapping[str, int | None] = field(default_factory=dict)
    """Records not finished by stage; None where Kafka did not say."""


def line(flow: Flow, width: int = 1000) -> str:
    """Write the flow in at most this many characters; a narrower terminal gets shorter words, then no rates."""
    lags = {stage: "?" if count is None else f"{count:,}" for stage, count in flow.lag.items()}
    long_lag = "lag " + " ".join(f"{stage} {count}" for stage, count in lags.items())
    short_lag = "lag " + "/".join(lags.values())
    steps = [(step, f"{total:,}", _short(flow.rates.get(step, 0.0))) for step, total in flow.totals.items()]
    steps = [step for step in steps if step[0] != IF_ANY or step[1] != "0"]
    forms = [
        "  ".join([*(f"{step} {total} ({rate}/s)" for step, total, rate in steps), long_lag]),
        "  ".join([*(f"{step} {total} +{rate}/s" for step, total, rate in steps), short_lag]),
        "  ".join([*(f"{step} {total} +{rate}" for step, total, rate in steps), short_lag]),
        " ".join([*(f"{SHORTER.get(step, step)} {total} +{rate}" for step, total, rate in steps), short_lag]),
        "  ".join([*(f"{step} {total}" for step, total, _ in steps), short_lag]),
        " ".join([*(f"{SHORTER.get(step, step)} {total}" for step, total, _ in steps), short_lag]),
    ]
    return next((form for form in forms if len(form) <= width), forms[-1][:width])


def _short(rate: float) -> str:
    return f"{rate:,.1f}" if 0 < rate < 10 else f"{rate:,.0f}"  # noqa: PLR2004 - below ten the tenths matter
