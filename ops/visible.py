"""Wait until everything that was written to a topic can be read: an open transaction hides what lies behind it."""

import asyncio
from contextlib import AsyncExitStack

from aiokafka import AIOKafkaConsumer

from events.errors import NotReady
from events.settings import KafkaSettings
from ops.scan import reading


async def nothing_hidden(kafka: KafkaSettings, topic: str, within: float) -> None:
    """Wait for the transactions that are open now.

    Raises NotReady when one is still open after so many seconds.
    """
    async with AsyncExitStack() as stack:
        places = await (await stack.enter_async_context(reading(kafka))).partitions(topic)
        every = await stack.enter_async_context(_reader(kafka, "read_uncommitted"))
        sure = await stack.enter_async_context(_reader(kafka, "read_committed"))
        ends = await every.end_offsets(places)
        try:
            async with asyncio.timeout(within):
                while any(end < ends[place] for place, end in (await sure.end_offsets(places)).items()):
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise NotReady(
                f"A transaction on {topic} has been open for {within:.0f} s and hides what was dealt with: nothing was "
                "done. Try again when the stream runs, or in a minute."
            ) from None


def _reader(kafka: KafkaSettings, isolation: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(**kafka.client_options(), group_id=None, isolation_level=isolation)
