"""Every metric ingest exports; hook names and reasons are the only labels."""

import bisect
import itertools
from collections.abc import Iterable, Iterator
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Reason = Literal[
    "unknown", "method", "too_large", "slow", "disconnected", "malformed", "not_published", "not_http", "crowded"
]
"""Why a request was not accepted: no such hook or path, wrong method, body or head over the cap or not in within its time,
sender gone, not a JSON object, taken neither by Kafka nor by the spool,
no HTTP, too many connections."""

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 1.5, 2)


class Seconds(Collector):
    """A histogram for one thread: the library's locks and looks through its buckets for every event."""

    def __init__(self, name: str, documentation: str) -> None:
        self._name = name
        self._documentation = documentation
        self._counts = [0] * (len(_SECONDS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect.bisect_left(_SECONDS, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterator[Metric]:
        """Yield it as the library's own is."""
        bounds = [*map(str, map(float, _SECONDS)), "+Inf"]
        buckets = list(zip(bounds, itertools.accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(self._name, self._documentation, buckets=buckets, sum_value=self._sum)


class IngestMetrics:
    """The metrics of one ingest process, on the registry it is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._accepted = Counter(
            "tocsin_ingest_accepted", "Webhooks answered 200: Kafka or the spool has them.", ["hook"], registry=registry
        )
        self._by_hook: dict[str, Counter] = {}
        self._rejected = Counter(
            "tocsin_ingest_rejected", "Requests not accepted, by reason.", ["reason"], registry=registry
        )
        self._publish_seconds = Seconds(
            "tocsin_ingest_publish_seconds",
            "Time from a complete body to Kafka's acknowledgement, or to the spool's disk.",
        )
        registry.register(self._publish_seconds)
        self.spooled = Counter("tocsin_ingest_spooled", "Webhooks written to the spool.", registry=registry)
        self.drained = Counter("tocsin_ingest_drained", "Webhooks brought from the spool to Kafka.", registry=registry)
        self.spool_open = Gauge(
            "tocsin_ingest_spool_open", "1 while events go to the spool instead of Kafka.", registry=registry
        )
        self.spool_events = Gauge("tocsin_ingest_spool_events", "Events in this host's spool.", registry=registry)
        self.spool_bytes = Gauge("tocsin_ingest_spool_bytes", "Disk those events take.", registry=registry)
        self.spool_oldest = Gauge(
            "tocsin_ingest_spool_oldest_seconds", "Age of the oldest event in the spool.", registry=registry
        )
        self.spool_disk_free = Gauge(
            "tocsin_ingest_spool_disk_free_bytes", "What the disk of the spool has left.", registry=registry
        )

    def hooks(self, names: Iterable[str]) -> None:
        """Show a hook before its first webhook: what is not there is not silent, and nobody would be told of its silence."""
        for name in names:
            self._by_hook[name] = self._accepted.labels(name)

    def accepted(self, hook: str, seconds: float) -> None:
        """Count a webhook that was durable after so many seconds."""
        counter = self._by_hook.get(hook)
        if counter is None:
            counter = self._by_hook[hook] = self._accepted.labels(hook)
        counter.inc()
        self._publish_seconds.observe(seconds)

    def rejected(self, reason: Reason) -> None:
        """Count a request that was not accepted."""
        self._rejected.labels(reason).inc()
