"""Who owns which partition, as the brokers say: a worker's own word is worth nothing when it is a zombie."""

from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError

from events.settings import KafkaSettings

Owners = dict[str, frozenset[int]]
"""Partitions of the topic by member id."""


class Group:
    """One consumer group on one topic; `async with` it."""

    def __init__(self, kafka: KafkaSettings, name: str, topic: str) -> None:
        self._kafka = kafka
        self._name = name
        self._topic = topic
        self._admin: AIOKafkaAdminClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def owners(self) -> Owners | None:
        """Return who owns what; None while the group rebalances, or no broker answers."""
        try:
            if self._admin is None:
                admin = AIOKafkaAdminClient(**self._kafka.client_options(), request_timeout_ms=5000)
                await admin.start()
                self._admin = admin
            answers = await self._admin.describe_consumer_groups([self._name])
        except (KafkaError, OSError):
            await self._close()  # the next question goes to whoever lives then
            return None
        return read(answers[0].to_object()["groups"][0], self._topic)

    async def _close(self) -> None:
        if self._admin is not None:
            admin, self._admin = self._admin, None
            with suppress(KafkaError, OSError):
                await admin.close()


def read(group: dict[str, Any], topic: str) -> Owners | None:
    """Read a described group; None unless it is stable."""
    if group["state"] != "Stable":
        return None
    owners: Owners = {}
    for member in group["members"]:
        data = member["member_assignment"]
        assigned = ConsumerProtocolMemberAssignment.decode(data).partitions() if data else []
        owners[member["member_id"]] = frozenset(tp.partition for tp in assigned if tp.topic == topic)
    return owners


def moved_on(owners: Owners | None, member: str, held: frozenset[int]) -> bool:
    """Tell whether a member that held these partitions is out of the group, and others own every one of them."""
    if owners is None or member in owners:
        return False
    return bool(held) and held <= frozenset().union(*owners.values())
