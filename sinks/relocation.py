"""Choose anew where a target goes on, or let another name go on where it stopped."""

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, for_code
from aiokafka.protocol.admin import DeleteGroupsRequest

from events.errors import NotReady
from events.settings import KafkaSettings
from sinks.positions import client, committed, partitions_of, starts
from sinks.rules import Start

Offsets = dict[TopicPartition, int]
GROUP_HAS_MEMBERS, UNKNOWN_GROUP = 68, 69
"""Error codes of the protocol (kafka.apache.org/protocol, Error Codes) that aiokafka has no names for."""

log = structlog.get_logger()


async def members(kafka: KafkaSettings, target: str) -> int:
    """Return how many workers read for a target just now."""
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([kafka.group(target)])
    finally:
        await admin.close()
    return len(answer.to_object()["groups"][0]["members"])


async def waiting(kafka: KafkaSettings, target: str, topic: str) -> int | None:
    """Return how many offsets of a topic a target has not finished; None where it has no place in it.

    Transactions take offsets too, so it may be some more than there are records.
    """
    partitions = await partitions_of(kafka, topic)
    known = await committed(kafka, target, partitions)
    if not known:
        return None
    consumer = client(kafka, target)
    await consumer.start()
    try:
        ends = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    left: int = sum(max(0, end - known.get(partition, (0, ""))[0]) for partition, end in ends.items())
    return left


async def reset(kafka: KafkaSettings, target: str, topic: str, start: Start) -> Offsets:
    """Let a target that is stopped go on elsewhere: now, at the earliest record, or at a time; return the places.

    Raises NotReady while it runs.
    """
    consumer = client(kafka, target)
    await consumer.start()
    try:
        partitions = await partitions_of(kafka, topic)
        consumer.assign(partitions)
        consumer.pause(*partitions)
        places = await starts(consumer, partitions, start)
        await _commit(kafka, target, {each: (offset, str(len(partitions))) for each, offset in places.items()})
    finally:
        await consumer.stop()
    return places


async def rename(kafka: KafkaSettings, old: str, new: str, topic: str) -> Offsets:
    """Let a new name go on where an old one stopped; return the places.

    Raises NotReady while one of them runs, where the old one has no place, or the new one has one already.
    """
    partitions = await partitions_of(kafka, topic)
    known = await committed(kafka, old, partitions)
    if not known:
        raise NotReady(
            f"Target {old} has no place in {topic}: it never ran, or was stopped longer than Kafka remembers."
        )
    if await committed(kafka, new, partitions):
        raise NotReady(
            f"Target {new} has a place in {topic} already; should it give that up, say `tocsin targets reset` instead."
        )
    if await members(kafka, old):
        raise NotReady(f"Target {old} is running: stop it first, or both names would tell people of the same events.")
    await _commit(kafka, new, known)
    if reason := await forget(kafka, old):
        log.warning("group_left", target=old, reason=reason)
    return {partition: offset for partition, (offset, _) in known.items()}


async def forget(kafka: KafkaSettings, target: str) -> str:
    """Delete the group of a target that is no more, with its places: else it is late for as long as Kafka remembers it.

    Returns why Kafka refused, if it did. Raises NotReady while it runs.
    """
    admin, group = AIOKafkaAdminClient(**kafka.client_options()), kafka.group(target)
    await admin.start()
    try:
        coordinator = await admin.find_coordinator(group)
        answer = await admin._send_request(DeleteGroupsRequest([group]), coordinator)  # noqa: SLF001 - it has no verb for it
    finally:
        await admin.close()
    codes = {code for _, code in answer.results} - {0, UNKNOWN_GROUP}
    if GROUP_HAS_MEMBERS in codes:
        raise NotReady(f"Target {target} is running: stop it first.")
    return for_code(codes.pop()).__name__ if codes else ""


async def _commit(kafka: KafkaSettings, target: str, places: dict[TopicPartition, tuple[int, str]]) -> None:
    """Commit from outside the group: the broker refuses it as soon as the group has a member."""
    consumer = client(kafka, target)
    await consumer.start()
    try:
        consumer.assign(list(places))
        consumer.pause(*places)
        await consumer.commit(places)
    except CommitFailedError:
        raise NotReady(f"Target {target} is running: stop it first.") from None
    finally:
        await consumer.stop()
