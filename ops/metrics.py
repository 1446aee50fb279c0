"""Every metric of every room, read from the inventories: the text of docs/metrics.md, and the names alerts may use."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

import inbox.metrics
import ingest.metrics
import sinks.archive.metrics
import sinks.metrics
import stream.metrics
from ingest.metrics import Seconds
from ops import catch_up_metrics, watch_metrics

REFERENCE = """\
# Metrics

Written from the inventories by `python -m ops.metrics`. Every room serves them at `/metrics` on its private port:
ingest 8081, stream 8082, sinks 8083, archive 8084, inbox 8085, the job of the catch-up 8086, the watch 8087. Labels are names of hooks,
targets, groups and kinds, never anything an outsider writes. The lag of the groups is asked of the cluster by the inbox, so
that it is known of a process that is gone, too.

Alert rules and a dashboard that use them are in [deploy/prometheus](../deploy/prometheus); what to do about each alert
stands in [runbook.md](runbook.md).
"""


@dataclass(frozen=True)
class Described:
    """One metric as its inventory has it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def samples(self) -> tuple[str, ...]:
        """The names under which Prometheus stores it."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "count", "sum"))
        return (f"{self.name}_total",) if self.kind == "counter" else (self.name,)


def rooms() -> dict[str, list[Described]]:
    """Return the metrics of each room, in the order of its inventory."""
    modules = {
        "stream": stream.metrics,
        "sinks": sinks.metrics,
        "archive": sinks.archive.metrics,
        "inbox": inbox.metrics,
        "catch-up": catch_up_metrics,
        "watch": watch_metrics,
    }
    return {"ingest": list(_of_ingest())} | {room: list(_of_module(module)) for room, module in modules.items()}


def _of_ingest() -> Iterator[Described]:
    for value in vars(ingest.metrics.IngestMetrics(CollectorRegistry())).values():
        if isinstance(value, MetricWrapperBase | Seconds):
            yield _described(value)


def _of_module(module: ModuleType) -> Iterator[Described]:
    for value in vars(module).values():
        if isinstance(value, MetricWrapperBase | Seconds):
            yield _described(value)


def _described(collector: MetricWrapperBase | Seconds) -> Described:
    [family] = collector.describe() if isinstance(collector, MetricWrapperBase) else collector.collect()
    labels = collector._labelnames if isinstance(collector, MetricWrapperBase) else ()  # noqa: SLF001 - shown nowhere else
    return Described(family.name, family.type, tuple(labels), family.documentation)


def reference() -> str:
    """Return the page of the docs: a table for each room."""
    parts = [REFERENCE]
    for room, found in rooms().items():
        parts.append(f"\n## {room}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n")
        for each in found:
            name = f"{each.name}_total" if each.kind == "counter" else each.name
            parts.append(f"| `{name}` | {each.kind} | {', '.join(each.labels)} | {each.meaning} |\n")
    return "".join(parts)


if __name__ == "__main__":
    print(reference(), end="")
