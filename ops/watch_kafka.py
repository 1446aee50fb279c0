"""What Kafka says, as the watch asks it: how late each group is, and how many dead letters there are."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka.errors import KafkaError

from events.settings import KafkaSettings
from events.topics import Topics
from inbox.lag import Lag, Lags
from ops.scan import Unreachable, reading

WITHIN = 10.0
"""Seconds for each of the two questions; a cluster that does not answer the first in time is away."""


@dataclass(frozen=True)
class KafkaSaid:
    """One look at a cluster that answers."""

    letters: int
    """Offsets written to the dead letters, ever: it grows with each one."""
    lags: Sequence[Lag] | None
    """None where the groups could not be asked in time, though the cluster answers."""


async def look(kafka: KafkaSettings, within: float = WITHIN) -> KafkaSaid | None:
    """Return what the cluster says, None when it does not answer; connects anew, so that no state of a client lies.

    Raises NotReady when topics are missing.
    """
    try:
        async with asyncio.timeout(within), reading(kafka) as reader:
            spans = await reader.spans(await reader.partitions(Topics(kafka.topic_prefix).dead_letters))
    except (KafkaError, OSError, TimeoutError, Unreachable):
        return None
    return KafkaSaid(sum(span.end for span in spans.values()), await _lags(kafka, within))


async def _lags(kafka: KafkaSettings, within: float) -> Sequence[Lag] | None:
    try:
        async with asyncio.timeout(within), Lags(kafka) as lags:
            return await lags.read()
    except (KafkaError, OSError, TimeoutError):
        return None
