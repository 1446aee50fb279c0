"""`tocsin topics migrate`: more partitions for a pipeline that has run, with nothing lost, doubled or out of order.

The raw topic is closed at the brokers, so that ingest keeps events in its spools; what is under way is finished and its
readers stop; the topics grow; the dedupe marks go where their keys go; the raw topic is opened. Every step looks at the
cluster alone and may be done again, so whatever ends this is mended by running it again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from typing import Protocol

from aiokafka.errors import KafkaError

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics
from ops import growth_cluster as cluster
from ops import growth_marks
from ops.growth_waiting import left
from sinks import relocation

NOTICED = 15.0
"""Seconds between the growth and the opening: ingest looks at the topic every two, and gives up a batch after ten."""

LOOK_EVERY = 1.0
PATIENCE = 60
"""Looks in a row that a cluster may leave unanswered: a coordinator that moves is back after some."""


class Told(Protocol):
    """Whoever watches."""

    def say(self, line: str) -> None:
        """Take a line that stays."""

    def show(self, line: str) -> None:
        """Take what is going on just now."""


async def migrate(
    kafka: KafkaSettings,
    partitions: int,
    targets: Collection[str],
    window: timedelta,
    told: Told,
    *,
    without: Collection[str] = (),
    notice: float = NOTICED,
) -> None:
    """Bring all topics to that many partitions; the backlog of `targets` is waited for, but for those `without`.

    Raises NotReady when that cannot be.
    """
    if await _nothing_to_do(kafka, partitions):
        told.say(f"All topics have {partitions} partitions already.")
        return
    await cluster.close(kafka)
    told.say(
        f"{Topics(kafka.topic_prefix).raw} is closed: ingest keeps what comes in its spools until this has ended. "
        "Interrupted, it goes on where it was when it is run again."
    )
    awaited = [name for name in targets if name not in without]
    await _until(lambda: _backlogs(kafka, awaited), told, "What was under way is finished.")
    await _grow(kafka, partitions, ["stream", *targets], window, told, notice)
    await cluster.reopen(kafka)
    told.say(
        f"Done. Set KAFKA_PARTITIONS={partitions} everywhere, restart ingest, then start the stream and the targets."
    )


async def _grow(
    kafka: KafkaSettings, partitions: int, readers: Collection[str], window: timedelta, told: Told, notice: float
) -> None:
    """Do what needs everybody to stand still."""
    await _until(lambda: _running(kafka, readers), told, "The stream and the targets are stopped.")
    await cluster.close(kafka, for_good=True)
    await cluster.grow(kafka, partitions)
    told.say(f"All topics have {partitions} partitions.")
    grown = kafka.model_copy(update={"partitions": partitions})
    show: growth_marks.Show = lambda what, done, of: told.show(f"{done:,} of {of:,} {what}")  # noqa: E731
    moved = await growth_marks.move(grown, window, show)
    told.say(f"{moved:,} dedupe marks lie where their keys go now.")
    told.show("Waiting until every ingest process has seen it.")
    await asyncio.sleep(notice)
    if running := await _answered(lambda: _running(kafka, readers)):
        raise NotReady(f"{running} Started before the end, it may know the old partitions: stop it, run this again.")


async def undo(kafka: KafkaSettings, told: Told) -> None:
    """Open the raw topic again, as long as nothing has grown.

    Raises NotReady when something has.
    """
    found = max((await cluster.counts(kafka)).values())
    if await cluster.is_closed(kafka, for_good=True):
        raise NotReady(f"The topics have begun to grow, to {found} partitions so far: run it again to finish it.")
    await cluster.reopen(kafka)
    told.say(f"{Topics(kafka.topic_prefix).raw} is open, with {found} partitions as before.")


async def _nothing_to_do(kafka: KafkaSettings, partitions: int) -> bool:
    found = await cluster.counts(kafka)
    most = max(found.values())
    if partitions < most:
        raise NotReady(f"The topics have {most} partitions, and Kafka takes none away: ask for {most} or more.")
    return set(found.values()) == {partitions} and not await cluster.is_closed(kafka)


async def _backlogs(kafka: KafkaSettings, targets: Collection[str]) -> str:
    topics = Topics(kafka.topic_prefix)
    # The stream first: what it has not finished yet is still to come for the targets.
    for name, topic in [("stream", topics.raw), *((target, topics.enriched) for target in targets)]:
        if waiting := await left(kafka, name, topic):
            idle = "" if await relocation.members(kafka, name) else ", and nobody reads for it: start it as it was"
            return f"{name} has {waiting:,} records to finish{idle}."
    return ""


async def _running(kafka: KafkaSettings, names: Collection[str]) -> str:
    running = {name: count for name in names if (count := await relocation.members(kafka, name))}
    return f"Stop now: {', '.join(f'{name} ({count} running)' for name, count in running.items())}." if running else ""


async def _until(look: Callable[[], Awaitable[str]], told: Told, done: str) -> None:
    """Wait until a look finds nothing more to wait for."""
    while waiting := await _answered(look):
        told.show(waiting)
        await asyncio.sleep(LOOK_EVERY)
    told.say(done)


async def _answered(look: Callable[[], Awaitable[str]]) -> str:
    for _ in range(PATIENCE):
        try:
            return await look()
        except KafkaError as error:
            if not error.retriable:
                raise
        await asyncio.sleep(LOOK_EVERY)
    return await look()
