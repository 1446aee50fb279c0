"""The topics on the cluster: create what is missing, compare what is there with the contract."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topic, contract

COPIES = 3
"""Where there are as many brokers."""

WITHIN = 10.0
"""Seconds for a cluster to answer."""

REQUEST_MS = 5000


def create(kafka: KafkaSettings) -> None:
    """Create the missing topics and print a line for each topic.

    Raises NotReady when the cluster does not answer or refuses.
    """
    created = asyncio.run(ensure(kafka))
    for name, line in asyncio.run(_described(kafka)).items():
        print(f"{'created' if name in created else 'exists '}  {line}")


def check(kafka: KafkaSettings) -> int:
    """Print what differs from the contract; return 1 when something does.

    Raises NotReady when the cluster does not answer.
    """
    found = asyncio.run(differences(kafka))
    for line in found:
        print(line)
    if not found:
        print(f"All {len(contract(kafka))} topics are as they must be.")
    return 1 if found else 0


async def ensure(kafka: KafkaSettings) -> list[str]:
    """Create the topics that are missing and return their names; another process may do the same at the same time.

    Raises NotReady when the cluster does not answer or refuses, or the topics do not appear on it.
    """
    async with _admin(kafka) as admin:
        there = await _topics(admin)
        brokers = await _brokers(admin)
        missing = [topic for topic in contract(kafka) if topic.name not in there]
        if not missing:
            return []
        _warn_when_few(kafka, brokers)
        wanted = [_new(topic, kafka, brokers) for topic in missing]
        answer = await admin.create_topics(wanted, timeout_ms=REQUEST_MS)
        created = [name for name in _accepted(answer)]
        await _appear(admin, kafka)
        return created


async def differences(kafka: KafkaSettings) -> list[str]:
    """Return one line for everything on the cluster that is not as the contract has it.

    Raises NotReady when the cluster does not answer.
    """
    async with _admin(kafka) as admin:
        ...
