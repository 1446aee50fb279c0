"""What Kafka says, as the watch asks it: how late each group is, and how many dead letters there are."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka.errors import KafkaError

from events.settings import KafkaSettings
from events.topics import Topics
from inbox.lag import Lag, Lags
from ops.contained import contained
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
        letters = await contained(_letters(kafka), within)
    except (KafkaError, OSError, TimeoutError, Unreachable):
        return None
    try:
        return KafkaSaid(letters, await contained(_lags(kafka), within))
    except (KafkaError, OSError, TimeoutError):
        return KafkaSaid(letters, None)


async def _letters(kafka: KafkaSettings) -> int:
    async with reading(kafka) as reader:
        spans = await reader.spans(await reader.partitions(Topics(kafka.topic_prefix).dead_letters))
    return sum(span.end for span in spans.values())


async def _lags(kafka: KafkaSettings) -> Sequence[Lag]:
    async with Lags(kafka) as lags:
        return await lags.read()
