"""A topic of somebody's own that a replay goes to: its name, how it is made, and what it holds already."""

import re
from datetime import timedelta

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from events.errors import NotReady
from events.headers import as_text
from events.settings import KafkaSettings
from events.topics import MAX_ENRICHED, Topics, contract
from ops import topics
from ops.scan import Reader, reading
from ops.topic_shape import replication_of

KEPT = timedelta(days=7)
"""How long records stay in a topic that a replay has made; as in the redeliveries, a job can be gone on with so long."""
_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")


def check(kafka: KafkaSettings, name: str) -> None:
    """Raise NotReady for a name that no topic can have, or one of the pipeline's own."""
    if not _NAME.fullmatch(name) or name in {".", ".."}:
        raise NotReady(f"{name!r} is no name of a topic: use letters, digits, dots, - and _.")
    if name in {topic.name for topic in contract(kafka)} or name.startswith("__"):
        raise NotReady(f"{name} is a topic of the pipeline or of Kafka itself: replay to one of your own.")


async def is_there(kafka: KafkaSettings, reader: Reader, name: str) -> bool:
    """Say whether there is such a topic.

    Raises NotReady where its partitions are not as many as the enriched topic's: an alert's events would lose their order.
    """
    wanted = len(await reader.partitions(Topics(kafka.topic_prefix).enriched))
    try:
        found = len(await reader.partitions(name))
    except NotReady:
        return False
    if found != wanted:
        raise NotReady(f"{name} has {found} partitions and the enriched topic {wanted}: make it anew with as many.")
    return True


async def ensure(kafka: KafkaSettings, name: str) -> None:
    """Make the topic where there is none, with as many partitions as the enriched one. Raises NotReady."""
    async with reading(kafka) as reader:
        if await is_there(kafka, reader, name):
            return
        partitions = len(await reader.partitions(Topics(kafka.topic_prefix).enriched))

    async def create(admin: AIOKafkaAdminClient) -> None:
        brokers = len((await admin.describe_cluster())["brokers"])
        config = {"retention.ms": str(int(KEPT.total_seconds() * 1000)), "max.message.bytes": str(2 * MAX_ENRICHED)}
        made = NewTopic(name, partitions, replication_of(kafka, brokers), topic_configs=config)
        for _, code, message in (await admin.create_topics([made])).topic_errors:
            if code:
                raise NotReady(f"Kafka refuses to create {name}: {message or code}.")

    await topics.asked(kafka, create)


async def events(reader: Reader, name: str, partition: int) -> set[str]:
    """Return the ids of the events that a partition of the topic holds."""
    place = TopicPartition(name, partition)
    spans = await reader.spans([place])
    return {as_text(record.headers).get("event-id", "") async for record in reader.records(spans)}
