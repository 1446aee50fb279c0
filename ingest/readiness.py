"""Whether Kafka takes events just now, as health and the log tell it."""

import structlog

log = structlog.get_logger()


class Readiness:
    """Gather what is known about Kafka; each change between well and not well is one line in the log."""

    def __init__(self) -> None:
        self._cluster: str | None = None
        self._unacked: set[int] = set()
        self._away = False

    @property
    def trouble(self) -> str | None:
        """Why events are not being acknowledged, in one line; None when all is well."""
        if self._cluster:
            return self._cluster
        if self._unacked:
            return f"Kafka does not acknowledge (partitions {', '.join(map(str, sorted(self._unacked)))})"
        return None

    def cluster(self, reason: str | None) -> None:
        """Note what is wrong with the cluster as a whole, or that nothing is."""
        self._cluster = reason
        self._tell()

    def unacked(self, partition: int) -> None:
        """Note that a record of the partition waits for its acknowledgement longer than a sender can."""
        self._unacked.add(partition)
        self._tell()

    def settled(self, partition: int) -> None:
        """Note that nothing of the partition waits any more: it was acknowledged, or given up."""
        if partition in self._unacked:
            self._unacked.discard(partition)
            self._tell()

    def waits(self, partition: int) -> bool:
        """Tell whether a record of the partition waits longer than a sender can."""
        return partition in self._unacked

    def _tell(self) -> None:
        reason = self.trouble
        if reason and not self._away:
            self._away = True
            log.error("kafka_away", reason=reason)
        elif not reason and self._away:
            self._away = False
            log.info("kafka_back")
