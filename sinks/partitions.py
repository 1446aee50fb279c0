"""How far the target has come in each of the partitions it reads."""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet

from aiokafka import ConsumerRecord, TopicPartition

from sinks.finished import Progress
from sinks.handling import Ended
from sinks.positions import Positions
from sinks.receipts import Placed


class Partitions:
    """The progress of each partition, from where it was committed."""

    def __init__(self, positions: Positions) -> None:
        self._positions = positions
        self._all: dict[TopicPartition, Progress] = {}
        self._lifted: set[tuple[TopicPartition, int]] = set()

    def __iter__(self) -> Iterator[TopicPartition]:
        return iter(self._all)

    @property
    def all(self) -> dict[TopicPartition, Progress]:
        """Every partition's progress."""
        return self._all

    def clear(self) -> None:
        """Forget all: they are handed out anew."""
        self._all = {}
        self._lifted = set()

    def of(self, partition: TopicPartition, first: int) -> Progress:
        """Return a partition's progress; where nothing was committed it begins at the first record read."""
        if partition not in self._all:
            self._all[partition] = Progress(*(self._positions.place(partition) or (first, "")))
        return self._all[partition]

    def begin(self, assigned: Iterable[TopicPartition]) -> None:
        """Begin each partition where it was committed, read or not: the scout looks into all of them."""
        for partition in assigned:
            if place := self._positions.place(partition):
                self.of(partition, place[0])

    def of_numbers(self, numbers: AbstractSet[int]) -> dict[TopicPartition, Progress]:
        """Return the progress of the partitions of these numbers that are there."""
        return {partition: progress for partition, progress in self._all.items() if partition.partition in numbers}

    def new(self, partition: TopicPartition, records: Iterable[ConsumerRecord]) -> list[ConsumerRecord]:
        """Note what was read, and return what of it is neither finished nor known."""
        found = list(records)
        progress = self.of(partition, found[0].offset)
        unknown = [record for record in found if progress.read(record.offset)]
        return [record for record in unknown if (partition, record.offset) not in self._lifted]

    def lift(self, records: Iterable[ConsumerRecord]) -> list[ConsumerRecord]:
        """Note what is taken out of turn, and return what of it was neither read, finished nor lifted before."""
        found = []
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            progress = self._all.get(partition)
            known = progress is None or record.offset < progress.position or record.offset in progress
            if not known and (partition, record.offset) not in self._lifted:
                self._lifted.add((partition, record.offset))
                found.append(record)
        return found

    def post(self, records: Iterable[Placed]) -> dict[TopicPartition, Progress]:
        """Note what is about to be posted, and return the partitions it is of."""
        found: dict[TopicPartition, Progress] = {}
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            if progress := self._all.get(partition):
                progress.post(record.offset)
                found[partition] = progress
        return found

    def was_posting(self, record: Placed) -> bool:
        """Say whether a sink was cut off while it posted the record."""
        progress = self._all.get(TopicPartition(record.topic, record.partition))
        return progress is not None and progress.was_posting(record.offset)

    @property
    def reached(self) -> dict[TopicPartition, int]:
        """How far each is read."""
        return {partition: progress.position for partition, progress in self._all.items()}

    def note(self, ended: Iterable[Ended]) -> dict[TopicPartition, Progress]:
        """Note what came to its end, and return the partitions in which something was told."""
        told: dict[TopicPartition, Progress] = {}
        for one in ended:
            partition = TopicPartition(one.record.topic, one.record.partition)
            if (progress := self._all.get(partition)) is None:
                continue  # given away meanwhile; its receipt speaks for it
            self._lifted.discard((partition, one.record.offset))
            if one.handled == "unmatched":
                progress.pass_over(one.record.offset)
            else:
                progress.finish(one.record.offset)
                told[partition] = progress
        return told

    @property
    def crowded(self) -> bool:
        """Whether in one of them too much is finished out of order."""
        return any(progress.crowded for progress in self._all.values())

    def backlog(self, end: Callable[[TopicPartition], int | None]) -> int:
        """Return about how many records were not read yet; markers of transactions count too."""
        return sum(max((end(partition) or 0) - progress.position, 0) for partition, progress in self._all.items())
