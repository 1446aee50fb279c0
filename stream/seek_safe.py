"""Faust's consumer with its start-up race closed: nothing is drained while offsets are being set."""

import asyncio
from typing import Any

from faust.transport.drivers import aiokafka as driver


class SeekSafeConsumer(driver.Consumer):  # type: ignore[misc]
    """Park the drain task before seeking.

    Stock Faust 0.15.3 seeks to the committed offsets while its drain task may still hold records fetched before; those
    are then dropped with the stream's queue, or counted as gaps, and are never seen again.
    """

    _parked = False
    _drain_task: "asyncio.Task[Any] | None" = None

    async def _wait_next_records(self, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's signature
        self._drain_task = asyncio.current_task()
        if not self.flow_active:
            self._parked = True
            try:
                await self.wait(self.can_resume_flow)
            finally:
                self._parked = False
        records, active = await super()._wait_next_records(timeout)
        # A copy: from the live set a partition that is paused meanwhile is gone, and stock Faust then drops what was
        # fetched of it already and never reads it again.
        return records, active if active is None else set(active)

    async def seek_to_committed(self) -> Any:
        """Set the read positions to the committed offsets, to 0 as well.

        aiokafka leaves a partition committed at 0 where it stands: behind what was fetched and dropped by then.
        """
        committed = await super().seek_to_committed()
        if fresh := {tp: 0 for tp, offset in committed.items() if offset == 0}:
            await self.seek_wait(fresh)
        return committed

    async def perform_seek(self) -> None:
        """Set the read positions to the committed offsets."""
        if asyncio.current_task() is not self._drain_task:
            self.stop_flow()
            while self._draining():
                await asyncio.sleep(0.01)
        await super().perform_seek()
        self.app.flow_control.clear()

    def _draining(self) -> bool:
        fetcher, task = self.app._fetcher, self._drain_task  # noqa: SLF001 - no public way to see it
        running = fetcher.started and not fetcher.should_stop and not self.should_stop
        return bool(running and task and not task.done() and not self._parked)


class Transport(driver.Transport):  # type: ignore[misc]
    """Faust's aiokafka transport with the consumer above."""

    Consumer = SeekSafeConsumer
