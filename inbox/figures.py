"""The figures of the pipeline page, read from the rooms' metrics; a metric a room does not have is not shown."""

from collections import Counter
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from inbox import runbook

UNAVAILABLE = "tocsin_sink_unavailable"


@dataclass(frozen=True)
class Figure:
    """One figure of a room."""

    label: str
    value: str
    entry: str = ""
    """The runbook entry's anchor, where the figure says something is wrong."""
    bad: bool = False


@dataclass(frozen=True)
class _Shown:
    metric: str
    label: str
    unit: str = ""
    entry: str = ""
    """The runbook entry when the figure is not 0."""
    bad: bool = False
    counts: bool = False
    """Whether it only grows: then its rate is shown beside it."""
    digits: int = 0
    words: tuple[str, str] | None = None
    """What 0 and anything else are called, where a number says nothing."""


_SHOWN = (
    _Shown("tocsin_ingest_accepted_total", "accepted", counts=True),
    _Shown("tocsin_ingest_rejected_total", "refused", counts=True),
    _Shown("tocsin_ingest_spool_open", "spooling, Kafka is away", entry=runbook.SPOOL, bad=True, words=("no", "yes")),
    _Shown("tocsin_ingest_spool_events", "waiting in the spool", entry=runbook.SPOOL),
    _Shown("tocsin_stream_enriched_total", "enriched", counts=True),
    _Shown("tocsin_stream_deduplicated_total", "deduplicated", counts=True),
    _Shown("tocsin_stream_pending", "waiting for details"),
    _Shown("tocsin_stream_partitions", "partitions owned"),
    _Shown("tocsin_stream_api_calls_total", "API calls", counts=True),
    _Shown("tocsin_stream_api_calls_left_per_second", "calls left in the budget", unit=" /s", digits=1),
    _Shown(
        "tocsin_stream_breaker_open",
        "breaker of the Alert API",
        entry=runbook.BREAKER,
        bad=True,
        words=("closed", "open"),
    ),
    _Shown("tocsin_stream_dead_letters_total", "buried since its start"),
    _Shown("tocsin_sink_delivered_total", "delivered", counts=True),
    _Shown("tocsin_sink_unmatched_total", "matched by no rule", counts=True),
    _Shown(UNAVAILABLE, "cannot be reached", entry=runbook.UNREACHED, bad=True, words=("no", "yes")),
    _Shown("tocsin_sink_dead_letters_total", "buried since its start"),
    _Shown("tocsin_archive_rows_total", "archived", counts=True),
    _Shown("tocsin_archive_oldest_buffered_seconds", "oldest not yet archived", unit=" s"),
    _Shown("tocsin_archive_dead_letters_total", "buried since its start"),
)

_OF_HOST = {"tocsin_ingest_spool_open", "tocsin_ingest_spool_events"}
_LARGEST = {"tocsin_archive_oldest_buffered_seconds"}


def scrape(page: str) -> dict[str, float]:
    """Read a metrics page: the sum of each metric over its labels, and of each target's under `metric target`.

    Of what each worker says of its host, the largest.

    Raises ValueError when it is not in Prometheus' text format.
    """
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            names = [sample.name]
            if "target" in sample.labels:
                names.append(f"{sample.name} {sample.labels['target']}")
            for name in names:
                value = max(found[name], sample.value) if name in _OF_HOST else found[name] + sample.value
                found[name] = value  # type: ignore[assignment]  # a float counts as well
    return dict(found)


def targets(samples: dict[str, float]) -> dict[str, dict[str, float]]:
    """Return the metrics of each target, by its name."""
    found: dict[str, dict[str, float]] = {}
    for name, value in samples.items():
        metric, _, target = name.partition(" ")
        if target:
            found.setdefault(target, {})[metric] = value
    return dict(sorted(found.items()))


def together(pages: list[dict[str, float]]) -> dict[str, float]:
    """Return the metrics of a room from those of its processes: their sum, of an age the largest."""
    found: dict[str, float] = {}
    for name in dict.fromkeys(name for page in pages for name in page):
        values = [page[name] for page in pages if name in page]
        found[name] = max(values) if name in _LARGEST else sum(values)
    return found


def figures(now: dict[str, float], before: dict[str, float] | None, seconds: float) -> list[Figure]:
    """Return what a room counts; rates need an earlier look, some seconds before."""
    found = []
    for each in _SHOWN:
        if each.metric not in now:
            continue
        value = now[each.metric]
        text = each.words[value != 0] if each.words else f"{value:,.{each.digits}f}{each.unit}"
        if each.counts and before is not None and seconds > 0:
            grown = value - before.get(each.metric, 0.0)
            text = f"{max(0.0, grown) / seconds:,.1f}/s · {text}"
        found.append(Figure(each.label, text, each.entry if value else "", each.bad))
    return found
