"""What `tocsin topics migrate` asks of the cluster: close the raw topic, give every topic more partitions, open it again."""

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.admin import DescribeConfigsRequest

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics, contract
from ops import topics
from ops.topic_shape import CLOSED, SIZE

WITHIN = 60
"""Seconds for a change to reach every broker; those of a healthy cluster take a moment."""
OVERRIDE = 1
"""Where a setting stands that somebody gave to this topic (DYNAMIC_TOPIC_CONFIG in Kafka's protocol)."""


async def counts(kafka: KafkaSettings) -> dict[str, int]:
    """Return how many partitions each topic of the contract has.

    Raises NotReady when one is missing.
    """
    names = [topic.name for topic in contract(kafka)]

    async def described(admin: AIOKafkaAdminClient) -> dict[str, int]:
        return {
            topic["topic"]: len(topic["partitions"])
            for topic in await admin.describe_topics()
            if topic["topic"] in names and not topic["error_code"]
        }

    found = await topics.asked(kafka, described)
    for name in names:
        if not found.get(name):
            raise NotReady(f"Topic {name} does not exist; run `tocsin topics create`.")
    return {name: found[name] for name in names}


async def is_closed(kafka: KafkaSettings, *, for_good: bool = False) -> bool:
    """Tell whether the raw topic takes no record, or even whether that cannot be undone any more."""
    raw = Topics(kafka.topic_prefix).raw
    size = (await topics.asked(kafka, lambda admin: _overrides(admin, raw))).get(SIZE)
    return size == CLOSED[1] if for_good else size in CLOSED


async def close(kafka: KafkaSettings, *, for_good: bool = False) -> None:
    """Let the raw topic take no record of any size: the brokers refuse every producer, known to us or not.

    Raises NotReady when the brokers do not let us.
    """
    if for_good or not await is_closed(kafka):
        await _set_size(kafka, CLOSED[for_good])


async def reopen(kafka: KafkaSettings) -> None:
    """Let it take again what the contract says. Raises NotReady when the brokers do not let us."""
    raw = contract(kafka)[0]
    await _set_size(kafka, raw.config[SIZE])


async def grow(kafka: KafkaSettings, partitions: int) -> None:
    """Give every topic of the contract that many partitions.

    Raises NotReady when the brokers refuse.
    """
    found = await counts(kafka)
    wanted = {name: NewPartitions(partitions) for name, there in found.items() if there < partitions}

    async def ask(admin: AIOKafkaAdminClient) -> None:
        try:
            await admin.create_partitions(wanted)
        except KafkaError as error:
            if error.retriable:
                raise
            raise NotReady(f"Kafka refuses to make {partitions} partitions: {error}.") from error

    if wanted:
        await topics.asked(kafka, ask)
    await _known(lambda: _all_have(kafka, partitions))
    await topics.ensure(kafka)  # creates none, and waits until each partition has a leader


async def _set_size(kafka: KafkaSettings, size: str) -> None:
    raw = Topics(kafka.topic_prefix).raw

    async def change(admin: AIOKafkaAdminClient) -> None:
        # This request replaces all a topic was given, so what others have set must be in it.
        wanted = await _overrides(admin, raw) | {SIZE: size}
        for answer in await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, raw, wanted)]):
            for code, message, *_ in answer.resources:
                if code:
                    raise NotReady(f"Kafka does not let us change {SIZE} of {raw}: {message or for_code(code)()}.")

    await topics.asked(kafka, change)
    await _known(lambda: topics.asked(kafka, lambda admin: _everywhere(admin, raw, size)))


async def _known(look: Callable[[], Awaitable[bool]]) -> None:
    """Wait until every broker has heard: one that has not yet still takes records."""
    try:
        async with asyncio.timeout(WITHIN):
            while not await look():
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise NotReady(
            f"Not every broker took the change within {WITHIN} s: look at them, then run this again."
        ) from None


async def _all_have(kafka: KafkaSettings, partitions: int) -> bool:
    return set((await counts(kafka)).values()) == {partitions}


async def _everywhere(admin: AIOKafkaAdminClient, topic: str, size: str) -> bool:
    """Ask each broker by itself; the client's own question goes to any of them."""
    question = DescribeConfigsRequest([(int(ConfigResourceType.TOPIC), topic, [SIZE])])
    for broker in (await admin.describe_cluster())["brokers"]:
        answer = await admin._send_request_to_node(broker["node_id"], question)  # noqa: SLF001
        if [entry[1] for *_, entries in answer.resources for entry in entries] != [size]:
            return False
    return True


async def _overrides(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for answer in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]):
        for code, message, _type, _name, entries, *_ in answer.resources:
            if code:
                raise NotReady(f"Kafka does not show the settings of {topic}: {message or for_code(code)()}.")
            found |= {entry[0]: entry[1] for entry in entries if entry[3] == OVERRIDE}
    return found
