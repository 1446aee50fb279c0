"""What Kafka says, as the watch asks it: which topics are missing, how late each group is, what was buried."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aiokafka.errors import KafkaError

from events.settings import KafkaSettings
from events.topics import Topics, contract
from inbox.lag import Lag, Lags
from ops import watch_letters
from ops.contained import contained
from ops.scan import Unreachable, reading
from ops.watch_letters import Letters, Places

WITHIN = 10.0
"""Seconds for each of the two questions; a cluster that does not answer the first in time is away."""

ROOMS = ("stream", "archive", "inbox")
"""Whose group is late also while it has no member; beside them the targets of the rules."""


@dataclass(frozen=True)
class KafkaSaid:
    """One look at a cluster that answers."""

    letters: Letters | None
    """The dead letters since the last look; None where their topic is missing."""
    lags: Sequence[Lag] | None
    """None where the groups could not be asked in time, or the topics they read are missing, though the cluster answers."""
    missing: Sequence[str] = ()
    """Topics of the contract that are not there, or that the user of the watch may not see: brokers do not say which."""


async def look(
    kafka: KafkaSettings, targets: Collection[str], places: Places, within: float = WITHIN
) -> KafkaSaid | None:
    """Return what the cluster says, None when it does not answer; connects anew, so that no state of a client lies.

    `targets` are those of the rules: what others have left behind, which nobody reads for any more, is not asked for.
    `places` is how far the dead letters are known.
    """
    try:
        missing, letters = await contained(_topics(kafka, places), within)
    except (KafkaError, OSError, TimeoutError, Unreachable):
        return None
    topics = Topics(kafka.topic_prefix)
    # A question about one that is missing would create it where the cluster does so by itself.
    if topics.raw in missing or topics.enriched in missing:
        return KafkaSaid(letters, None, missing)
    try:
        return KafkaSaid(letters, await contained(_lags(kafka, {*ROOMS, *targets}), within), missing)
    except (KafkaError, OSError, TimeoutError):
        return KafkaSaid(letters, None, missing)


async def _topics(kafka: KafkaSettings, places: Places) -> tuple[list[str], Letters | None]:
    names = [each.name for each in contract(kafka)]
    async with reading(kafka) as reader:
        there = await reader.topics()
        missing = [name for name in names if name not in there]
        buried = Topics(kafka.topic_prefix).dead_letters
        return missing, None if buried in missing else await watch_letters.read(reader, buried, places)


async def _lags(kafka: KafkaSettings, groups: Collection[str]) -> Sequence[Lag]:
    async with Lags(kafka) as lags:
        return await lags.read(groups)
