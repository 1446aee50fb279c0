"""The lag of every group as metrics: asked of the cluster, so that it is known of a target whose process is gone, too."""

import asyncio
from collections.abc import Iterable

import structlog
from aiokafka.errors import KafkaError

from events.settings import KafkaSettings
from inbox import metrics
from inbox.lag import Lag, Lags

EVERY = 15.0
WITHIN = 10.0

log = structlog.get_logger()


async def run(kafka: KafkaSettings) -> None:
    """Look again and again, until cancelled; a cluster that does not answer is told once, and by its own metric."""
    while True:
        try:
            async with Lags(kafka) as lags:
                while True:
                    async with asyncio.timeout(WITHIN):
                        show(await lags.read())
                    metrics.KAFKA_AWAY.set(0)
                    await asyncio.sleep(EVERY)
        except (KafkaError, OSError) as error:  # TimeoutError is one
            log.info("lag_unknown", reason=type(error).__name__)
            metrics.KAFKA_AWAY.set(1)
        await asyncio.sleep(EVERY)


def show(lags: Iterable[Lag]) -> None:
    """Set the metrics; a group that is gone leaves them."""
    metrics.LAG.clear()
    metrics.GROUP_OLDEST.clear()
    for lag in lags:
        metrics.LAG.labels(lag.group).set(lag.records)
        metrics.GROUP_OLDEST.labels(lag.group).set(lag.oldest or 0.0)
