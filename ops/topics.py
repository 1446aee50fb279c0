"""The topics on the cluster: create what is missing, compare what is there with the contract."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAlreadyExistsError, for_code

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topic, contract
from ops.topic_shape import ENOUGH, Found, config_of, differing, replication_of

T = TypeVar("T")

WITHIN = 10.0
"""Seconds for a cluster to answer."""

REQUEST_MS = 5000

HEARD_WITHIN = 20
"""Looks, a tenth of a second apart, after which a topic that one broker does not know is missing."""


def create(kafka: KafkaSettings) -> None:
    """Create the missing topics and print a line for each topic of the contract.

    Raises NotReady when the cluster does not answer or refuses.
    """
    created = asyncio.run(ensure(kafka))
    found = asyncio.run(asked(kafka, lambda admin: _known(admin, kafka)))
    for topic in contract(kafka):
        there = found.get(topic.name, "not known to every broker yet")
        print(f"{'created' if topic.name in created else 'exists '}  {topic.name}: {there}")


def check(kafka: KafkaSettings) -> int:
    """Print what differs from the contract; return 1 when something does.

    Raises NotReady when the cluster does not answer.
    """
    lines = asyncio.run(differences(kafka))
    print("\n".join(lines) or f"All {len(contract(kafka))} topics are as they must be.")
    return 1 if lines else 0


async def ensure(kafka: KafkaSettings, besides: Mapping[str, str] | None = None) -> list[str]:
    """Create the topics that are missing and return their names; another process may be doing the same.

    `besides` are settings they get instead of the contract's. Raises NotReady when the cluster does not answer or refuses.
    """
    created: list[str] = []

    async def create_missing(admin: AIOKafkaAdminClient) -> None:
        found = await _found(admin)
        if missing := [topic for topic in contract(kafka) if topic.name not in found]:
            brokers = await _brokers(admin)
            wanted = [_new(topic, kafka, brokers, besides) for topic in missing]
            if brokers < ENOUGH:
                _warn(brokers)
            created.extend(_accepted(await admin.create_topics(wanted, timeout_ms=REQUEST_MS)))
        while not await _have_leaders(admin, {topic.name for topic in contract(kafka)}):
            await asyncio.sleep(0.05)

    await asked(kafka, create_missing)
    return created


async def differences(kafka: KafkaSettings) -> list[str]:
    """Return one line for everything on the cluster that is not as the contract has it.

    Raises NotReady when the cluster does not answer.
    """

    async def compare(admin: AIOKafkaAdminClient) -> list[str]:
        found, brokers = await _known(admin, kafka), await _brokers(admin)
        there = [topic for topic in contract(kafka) if topic.name in found]
        lines = [
            f"{topic.name}: missing: run `tocsin topics create`" for topic in contract(kafka) if topic.name not in found
        ]
        configs = await _configs(admin, [topic.name for topic in there])
        for topic in there:
            lines += differing(topic, kafka, brokers, found[topic.name], configs[topic.name])
        return lines

    return await asked(kafka, compare)


def _new(topic: Topic, kafka: KafkaSettings, brokers: int, besides: Mapping[str, str] | None = None) -> NewTopic:
    config = {**config_of(topic, kafka, brokers), **(besides or {})}
    return NewTopic(topic.name, topic.partitions, replication_of(kafka, brokers), topic_configs=config)


def _warn(brokers: int) -> None:
    print(
        f"WARNING: this cluster has {brokers} broker{'s' if brokers > 1 else ''}, not {ENOUGH}, and topics keep the "
        "copies they are created with: a broken disk or a power cut can lose events. Fine for trying out.",
        file=sys.stderr,
    )


async def _found(admin: AIOKafkaAdminClient) -> dict[str, Found]:
    # All topics: a question about one that is missing would create it where the cluster does so by itself.
    return {
        topic["topic"]: Found(
            len(topic["partitions"]), min((len(p["replicas"]) for p in topic["partitions"]), default=0)
        )
        for topic in await admin.describe_topics()
        if not topic["error_code"]
    }


async def _known(admin: AIOKafkaAdminClient, kafka: KafkaSettings) -> dict[str, Found]:
    """Look again for a moment where one is missing: each question goes to any broker, and one may not have heard."""
    for _ in range(HEARD_WITHIN):
        found = await _found(admin)
        if all(topic.name in found for topic in contract(kafka)):
            break
        await asyncio.sleep(0.1)
    return found


async def _have_leaders(admin: AIOKafkaAdminClient, names: set[str]) -> bool:
    topics = [topic for topic in await admin.describe_topics() if topic["topic"] in names]
    partitions = [partition for topic in topics for partition in topic["partitions"]]
    return len(topics) == len(names) and bool(partitions) and all(p["leader"] >= 0 for p in partitions)


async def _brokers(admin: AIOKafkaAdminClient) -> int:
    cluster = await admin.describe_cluster()
    if cluster["controller_id"] < 0:  # aiokafka would stumble over it
        raise KafkaError("no controller is elected")
    return len(cluster["brokers"])


async def _configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    configs: dict[str, dict[str, str]] = {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    for answer in await admin.describe_configs(resources) if resources else []:
        for code, message, _type, name, entries, *_ in answer.resources:
            if code:
                raise _error(code, message)
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs


def _accepted(answer: Any) -> list[str]:
    """Return the names that were created; one that exists by now is somebody else's."""
    names = []
    for name, code, message in answer.topic_errors:
        if not code:
            names.append(name)
        elif code != TopicAlreadyExistsError.errno:
            error = _error(code, f"{name}: {message}")
            if error.retriable:
                raise error
            raise NotReady(f"Kafka refuses to create {name}: {message or error}.") from error
    return names


def _error(code: int, message: str | None) -> KafkaError:
    error: KafkaError = for_code(code)(message)
    return error


async def asked(kafka: KafkaSettings, question: Callable[[AIOKafkaAdminClient], Awaitable[T]]) -> T:
    """Ask the cluster, again while it is electing a leader or has just lost a broker.

    Raises NotReady when nobody answers.
    """
    cause: Exception | None = None
    try:
        async with asyncio.timeout(WITHIN):
            while True:
                try:
                    return await _once(kafka, question)
                except (KafkaError, OSError) as error:
                    cause = error
                await asyncio.sleep(0.5)
    except TimeoutError as error:
        raise NotReady(
            f"Kafka at {kafka.bootstrap_servers} did not do what it was asked within {WITHIN:g} s "
            f"({cause or 'no answer'}): look at its brokers."
        ) from error


async def _once(kafka: KafkaSettings, question: Callable[[AIOKafkaAdminClient], Awaitable[T]]) -> T:
    admin = AIOKafkaAdminClient(**kafka.client_options(), request_timeout_ms=REQUEST_MS)
    try:
        try:
            await admin.start()
        except KafkaConnectionError as error:  # aiokafka has just logged the reason for each address
            raise NotReady(
                f"Kafka at {kafka.bootstrap_servers} cannot be reached: "
                "check KAFKA_BOOTSTRAP_SERVERS, the network and the credentials."
            ) from error
        return await question(admin)
    finally:
        await admin.close()
