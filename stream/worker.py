"""One stream worker: the partitions it owns, and what they share."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from events.settings import KafkaSettings
from events.topics import Topics
from stream import metrics
from stream.breaker import Breaker
from stream.ending import end_process
from stream.enrich import Enricher
from stream.intake import RawRecord
from stream.lookups import Lookups
from stream.outbox import Outbox
from stream.partition import Partition
from stream.restore import Restored, restore
from stream.settings import StreamSettings

PROBE = 15.0
"""Seconds after a pause of the breaker within which the call that tries the API has ended: its timeout, and the way to it."""

log = structlog.get_logger()


def not_asked(breaker: Breaker, now: float) -> bool:
    """Say whether nothing but a probe is asked: one that hangs between two pauses must not pass for an API that is well."""
    return breaker.silent_for(now - PROBE if breaker.probing else now) > 0


class Worker:
    """Own partitions as the consumer group assigns them."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: StreamSettings,
        lookups: Lookups,
        enricher: Enricher,
        pause: Callable[[int, bool], None],
        finish: Callable[[int, int], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._topics = Topics(kafka.topic_prefix)
        self._lookups = lookups
        self._enricher = enricher
        self._pause = pause
        self._finish = finish
        self._stopping = stopping
        self._partitions: dict[int, Partition] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        metrics.MARKS.set_function(lambda: sum(partition.marks for partition in self._partitions.values()))
        metrics.PENDING.set_function(lambda: sum(partition.pending for partition in self._partitions.values()))
        metrics.OLDEST.set_function(self.oldest_age)
        metrics.BREAKER.set_function(lambda: float(not_asked(lookups.breaker, time.monotonic())))
        metrics.BUDGET_LEFT.set_function(lambda: lookups.budget.left(time.monotonic()))

    def assigned(self, numbers: set[int]) -> None:
        """Give up what is not ours any more, take what is new; a partition that stays keeps its marks."""
        for number in self._partitions.keys() - numbers:
            self._running.pop(number).cancel()
            closing = asyncio.create_task(self._partitions.pop(number).close())
            self._closing.add(closing)
            closing.add_done_callback(self._ended)
        for number in numbers - self._partitions.keys():
            partition = self._partitions[number] = self._partition(number)
            self._running[number] = asyncio.create_task(partition.run(), name=f"partition {number}")
            self._running[number].add_done_callback(self._ended)
        self._lookups.budget.share(numbers, self._kafka.partitions, asyncio.get_running_loop().time())
        # The vendor counts the errors of all workers together; who sees only some of them must stop at the first.
        self._lookups.breaker.allowed_errors = 1 if len(numbers) == self._kafka.partitions else 0
        metrics.PARTITIONS.set(len(numbers))
        log.info("assigned", partitions=sorted(numbers))

    def revoked(self) -> None:
        """Ask the Alert API nothing more until the group has told us what is ours."""
        self._lookups.budget.suspend()

    def member(self, at: float) -> None:
        """Know that the group took us for its member then (monotonic seconds)."""
        self._lookups.budget.vouch(at)

    def put(self, number: int, records: Sequence[RawRecord]) -> None:
        """Hand records to their partition."""
        partition = self._partitions.get(number)
        if partition is None:
            end_process(f"a record of partition {number} came before its assignment")
        partition.put(records)

    def health(self) -> tuple[bool, Mapping[str, Any]]:
        """Return whether there are partitions and all of them are ready, and the details."""
        details = {
            "partitions": sorted(self._partitions),
            "restoring": sorted(p.number for p in self._partitions.values() if not p.ready),
            "waiting": self.waiting,
            "pending": sum(partition.pending for partition in self._partitions.values()),
            "list_batches": self._lookups.batches,
            "alerts_per_second": round(self._lookups.alerts_per_second, 2),
            "alert_api": self._lookups.breaker.reason or "ok",
            "names_off": self._lookups.names.off,
            "oldest_unacknowledged_seconds": round(self.oldest_age(), 1),
        }
        return bool(self._partitions) and not details["restoring"], details

    def oldest_age(self) -> float:
        """Return how long ago the oldest event that is not acknowledged was received (seconds); 0 when none waits."""
        oldest = min((partition.oldest for partition in self._partitions.values()), default=float("inf"))
        return max(0.0, time.time() - oldest) if oldest < float("inf") else 0.0

    def progress(self) -> dict[int, tuple[int, int]]:
        """Return of each partition how many records wait to be handled, and how many were acknowledged.

        While its marks are restored nothing is handled; that has a bound of its own.
        """
        owned = list(self._partitions.values())  # asked for by a thread of its own
        return {each.number: (each.waiting if each.ready else 0, each.acknowledged) for each in owned}

    @property
    def vouched(self) -> bool:
        """Whether the group told us a moment ago that we are its member."""
        return self._lookups.budget.vouched(time.monotonic())

    @property
    def waiting(self) -> int:
        """Records taken and not yet acknowledged."""
        return sum(partition.waiting for partition in self._partitions.values())

    def _partition(self, number: int) -> Partition:
        group, client = self._kafka.group("stream"), self._kafka.client_options()

        def restored() -> Awaitable[Restored]:
            return restore(number, group, self._topics, client, self._settings.dedupe_window)

        outbox = Outbox(number, f"{group}-{number}", client)
        return Partition(
            number,
            self._topics,
            outbox,
            self._enricher,
            restored,
            lambda paused: self._pause(number, paused),
            lambda offset: self._finish(number, offset),
            self._settings.dedupe_window,
            lambda: self.vouched,
        )

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled() and task.exception() is not None and not self._stopping():
            end_process(f"{task.get_name()} failed", task.exception())
