"""What Kafka says, as the watch asks it: which topics are missing, how late each group is, what was buried."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aiokafka.errors import KafkaError

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics, contract
from inbox.lag import Lag, Lags
from ops import watch_letters
from ops.contained import contained
from ops.scan import Reader, Unreachable, reading
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
    """None where the groups could not be asked in time, or topics are missing, though the cluster answers."""
    missing: Sequence[str] = ()
    """Topics of the contract that are not there."""


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
    if missing:  # a question about one of them would create it where the cluster does so by itself
        return KafkaSaid(letters, None, missing)
    try:
        return KafkaSaid(letters, await contained(_lags(kafka, {*ROOMS, *targets}), within))
    except (KafkaError, OSError, TimeoutError):
        return KafkaSaid(letters, None)


async def _topics(kafka: KafkaSettings, places: Places) -> tuple[list[str], Letters | None]:
    names = [each.name for each in contract(kafka)]
    async with reading(kafka) as reader:
        missing = [name for name in names if not await _has(reader, name)]
        buried = Topics(kafka.topic_prefix).dead_letters
        return missing, None if buried in missing else await watch_letters.read(reader, buried, places)


async def _has(reader: Reader, topic: str) -> bool:
    try:
        await reader.partitions(topic)
    except Unreachable:
        raise
    except NotReady:
        return False
    return True


async def _lags(kafka: KafkaSettings, groups: Collection[str]) -> Sequence[Lag]:
    async with Lags(kafka) as lags:
        return await lags.read(groups)
