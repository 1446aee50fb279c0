"""What a topic must be like on a cluster of this size, and what to do where it is not."""

from dataclasses import dataclass

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topic

ENOUGH = 3
"""Brokers, and so copies: one may fail and every record is still written twice."""

OTHER_PARTITIONS = (
    "set KAFKA_PARTITIONS to what all topics have, or have more of them with `tocsin topics migrate`; "
    "adding partitions alone would give keys another one."
)
SIZE, CLOSED = "max.message.bytes", ("1", "2")
"""What `tocsin topics migrate` sets so that a topic takes no record at all: before anything has grown, and from then on."""
FEWER_COPIES = (
    "add copies with kafka-reassign-partitions.sh, or set KAFKA_REPLICATION_FACTOR if so few are what you want."
)


@dataclass(frozen=True)
class Found:
    """A topic as it is on the cluster."""

    partitions: int
    replication: int

    def __str__(self) -> str:
        return f"{self.partitions} partitions, replication {self.replication}"


def replication_of(kafka: KafkaSettings, brokers: int) -> int:
    """Return how many copies a new topic gets."""
    return kafka.replication_factor or min(ENOUGH, brokers)


def config_of(topic: Topic, kafka: KafkaSettings, brokers: int) -> dict[str, str]:
    """Return the topic's settings with how many copies must be written before a write counts.

    Raises NotReady when more are asked for than there are.
    """
    replication = replication_of(kafka, brokers)
    min_isr = kafka.min_isr or (2 if replication >= ENOUGH else 1)
    if min_isr > replication:
        copies = f"there are {replication} copies" if replication > 1 else "there is one copy"
        raise NotReady(f"KAFKA_MIN_ISR is {min_isr}, but {copies}: no write would ever succeed.")
    return topic.config | {"min.insync.replicas": str(min_isr)}


def differing(topic: Topic, kafka: KafkaSettings, brokers: int, found: Found, config: dict[str, str]) -> list[str]:
    """Return a line for each difference, with what to do about it."""
    lines = []
    brokers = max(brokers, found.replication)  # one that is down is not listed, and changes nothing of what must be
    if found.partitions != topic.partitions:
        lines.append(
            f"{topic.name}: {found.partitions} partitions, must be {topic.partitions} (KAFKA_PARTITIONS): "
            + OTHER_PARTITIONS
        )
    if found.replication < (replication := replication_of(kafka, brokers)):  # more copies are nobody's loss
        lines.append(f"{topic.name}: replication {found.replication}, must be {replication}: {FEWER_COPIES}")
    for name, value in config_of(topic, kafka, brokers).items():
        if name == SIZE and config.get(name) in CLOSED:
            lines.append(
                f"{topic.name}: closed while `tocsin topics migrate` is at work: where it was interrupted, run it again."
            )
        elif config.get(name) != value:
            lines.append(
                f"{topic.name}: {name} is {config.get(name)}, must be {value}: kafka-configs.sh --bootstrap-server "
                f"{kafka.bootstrap_servers} --alter --entity-type topics --entity-name {topic.name} "
                f"--add-config {name}={value}"
            )
    return lines
