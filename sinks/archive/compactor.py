"""Compaction beside the sink that writes: a day's small files are merged by the one who may list the result."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog
from aiokafka import TopicPartition

from sinks.archive import compaction
from sinks.archive.compaction import Merged
from sinks.archive.storage import Store
from sinks.archive.writer import PartitionWriter

AT_LEAST = 8
"""Small files of a day that are worth merging."""
KEPT = timedelta(hours=1)
"""How long a replaced file stays for who is reading it."""

log = structlog.get_logger()


@dataclass
class _Work:
    """One merge under way, in a thread of its own."""

    partition: TopicPartition
    writer: PartitionWriter
    task: "asyncio.Task[Merged | None]"


class Compactor:
    """Goes through all owned partitions every so often, one merge at a time; nobody else may list entries meanwhile.

    A merged file bears the number of the entry that will list it, so its partition lists nothing before that is done: what
    is read of it waits in memory. Killed at any moment it leaves a file that nobody lists, which the next claim sweeps.
    """

    def __init__(self, store: Store, every: timedelta, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin the first round after a tenth of the time; never where it is nothing."""
        self._store, self._monotonic = store, monotonic
        self._every = every.total_seconds()
        self._next = monotonic() + self._every / 10
        self._left: deque[TopicPartition] = deque()
        self._work: _Work | None = None

    def holds(self, partition: TopicPartition) -> bool:
        """Say whether nothing may be listed of a partition just now."""
        return self._work is not None and self._work.partition == partition

    async def step(self, writers: Mapping[TopicPartition, PartitionWriter]) -> None:
        """List what has been merged and begin the next merge, if it is time.

        Raises Superseded, BrokenManifest, OSError.
        """
        if self._work:
            if not self._work.task.done():
                return
            self._list(self._work, writers)
        if not self._left and self._every and self._monotonic() >= self._next:
            self._next = self._monotonic() + self._every
            self._left.extend(sorted(writers))
        if self._left and (writer := writers.get(partition := self._left.popleft())):
            seq = writer.next_seq
            task = asyncio.create_task(asyncio.to_thread(self._merge, partition, seq))
            self._work = _Work(partition, writer, task)

    async def finish(self, writers: Mapping[TopicPartition, PartitionWriter]) -> None:
        """Wait for the merge under way and list it; begin no other. Raises as `step` does."""
        self._left.clear()
        if self._work:
            await asyncio.wait([self._work.task])
            self._list(self._work, writers)

    def _list(self, work: _Work, writers: Mapping[TopicPartition, PartitionWriter]) -> None:
        self._work = None
        merged = work.task.result()
        if merged is None:
            return
        if writers.get(work.partition) is not work.writer:  # it is another's, or was claimed anew: that has its number
            self._store.delete(merged.file.path)
            return
        work.writer.compact(merged.file, merged.replaced)
        log.info("archive_compacted", partition=work.partition.partition, files=len(merged.replaced))
        self._left.append(work.partition)  # there may be another day to do

    def _merge(self, partition: TopicPartition, seq: int) -> Merged | None:
        place = (partition.topic, partition.partition)
        compaction.clear(self._store, *place, KEPT)
        try:
            return compaction.merge_first(self._store, *place, seq, at_least=AT_LEAST)
        except (
            FileNotFoundError
        ) as error:  # somebody removed it; `tocsin reconcile` names it, and what comes is archived
            log.error("archive_file_gone", error=str(error))
            return None
