"""Topics of our own on somebody's cluster, for as long as a run: under a prefix nobody has, and gone afterwards."""

import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownTopicOrPartitionError, for_code
from pydantic import SecretStr

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import contract
from ops import topics


def throwaway(kafka: KafkaSettings, partitions: int) -> KafkaSettings:
    """Return settings for the same cluster under a random prefix; it begins with the user's own, for the sake of ACLs."""
    prefix = f"{kafka.topic_prefix}doctor-{secrets.token_hex(4)}."
    return kafka.model_copy(update={"topic_prefix": prefix, "partitions": partitions})


def environment(kafka: KafkaSettings) -> dict[str, str]:
    """Return what a room must be told to reach the cluster; a file is named by its whole path."""
    told = {}
    for name in ("security_protocol", "sasl_mechanism", "sasl_username", "sasl_password", "ca_file"):
        value = getattr(kafka, name)
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")
        told[f"KAFKA_{name.upper()}"] = str(value.absolute()) if name == "ca_file" and value else text
    return told


@asynccontextmanager
async def topics_of(kafka: KafkaSettings) -> AsyncIterator[None]:
    """Create the topics of the contract, and delete them however the block ends; groups go with them.

    Raises NotReady when the cluster does not let us.
    """
    try:
        await topics.ensure(kafka)
        yield
    finally:
        try:
            await topics.asked(kafka, lambda admin: _delete(admin, kafka))
        except NotReady as error:
            print(f"Topics {kafka.topic_prefix}* were left behind: delete them. {error}", file=sys.stderr)


async def _delete(admin: AIOKafkaAdminClient, kafka: KafkaSettings) -> None:
    there = set(await admin.list_topics())
    ours = [topic.name for topic in contract(kafka) if topic.name in there]
    answer = await admin.delete_topics(ours) if ours else None
    for name, code in answer.topic_error_codes if answer else ():
        error = for_code(code)
        if code and error is not UnknownTopicOrPartitionError:
            raise error(name) if error.retriable else NotReady(f"Kafka refuses to delete {name}: {error.__name__}.")
