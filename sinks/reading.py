"""The reading side of one target: take records in ahead of what is told, urgent ones from further ahead still."""

import asyncio
import contextlib
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition

from sinks.partitions import Partitions
from sinks.receipts import Receipts
from sinks.scout import Scout
from sinks.window import Window, is_urgent

READ_AHEAD = 1_000
"""Records held at once: an urgent one among them comes first."""

READ_AHEAD_BYTES = 64 * 1024 * 1024
"""What these may weigh together: reached by many large ones only."""

AT_A_TIME = 500  # records taken from the client in one go


class Reading:
    """Fill the window of one target from its partitions, within the window's bounds."""

    def __init__(
        self, consumer: AIOKafkaConsumer, partitions: Partitions, receipts: Receipts, scout: Scout | None
    ) -> None:
        self.window = Window(READ_AHEAD, READ_AHEAD_BYTES)
        self._consumer = consumer
        self._partitions = partitions
        self._receipts = receipts
        self._scout = scout

    def forget(self) -> None:
        """Let all go: the partitions are handed out anew."""
        self._receipts.forget()
        self._partitions.clear()
        self.window.clear()
        if self._scout:
            self._scout.forget()

    async def top_up(self, seconds: float, let_go: asyncio.Event, changed: Callable[[], bool]) -> bool:
        """Read ahead as far as the bounds allow; True when something new is there.

        Waits for it up to some seconds, less once `let_go` is set; what came while `changed` is read again.
        """
        if self.window.full:
            if seconds:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(let_go.wait(), seconds)
            return False
        room = min(self.window.room, AT_A_TIME)
        batch = await self._consumer.getmany(timeout_ms=int(seconds * 1000), max_records=room)
        if changed():
            # Partitions changed hands meanwhile: what came may be of before or after. Read it again.
            for partition, records in batch.items():
                if partition in self._consumer.assignment():
                    self._consumer.seek(partition, records[0].offset)
            return False
        await self._receipts.restore({partition.partition: records[0] for partition, records in batch.items()})
        for partition, records in batch.items():
            for record in self._partitions.new(partition, records):
                self.window.add(record, urgent=is_urgent(record), again=self._partitions.was_posting(record))
        return bool(batch)

    @property
    def backlog(self) -> int:
        """About how many records were not read yet."""
        return self._partitions.backlog(self._consumer.last_stable_offset)

    @property
    def found(self) -> bool:
        """Whether urgent records were found beyond what is read, and wait to be taken in."""
        return bool(self._scout and self._scout.found)

    async def lift(self, backlog: int) -> None:
        """Have urgent records looked for beyond what is read, and take in those that were found."""
        if self._scout is None:
            return
        far = backlog > AT_A_TIME or (backlog and self.window.full)
        self._scout.follow(self._partitions.reached) if far else self._scout.rest()
        while self._scout.found and not self._partitions.crowded:
            found = self._scout.found.popleft()
            # An earlier life of ours may have told it, and nothing of its partition be read yet.
            await self._receipts.restore({record.partition: record for record in reversed(found)})
            if group := self._partitions.lift(found):
                self.window.lift(group, again=self._partitions.was_posting)

    async def places(self) -> dict[TopicPartition, int] | None:
        """Return the position in each partition; None where one has none yet."""
        try:
            async with asyncio.timeout(1):
                return {tp: await self._consumer.position(tp) for tp in self._consumer.assignment()}
        except TimeoutError:
            return None
