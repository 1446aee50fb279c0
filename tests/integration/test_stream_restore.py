"""A partition's memory on real Kafka: by checkpoint and tail, or, when that is lost, from the topics themselves."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from events.headers import RawHeaders, isoformat
from events.records import WebhookEvent
from events.settings import KafkaSettings
from events.topics import Topics
from stream import compose, restore
from stream.compose import Finding
from stream.gossip import Gossip
from stream.marks import digest
from stream.outbox import Outbox, Output

pytestmark = pytest.mark.kafka

PARTITION = 2
WINDOW = timedelta(hours=24)


class Owner:
    """Writes what a stream would, and reads it back."""

    def __init__(self, kafka: KafkaSettings, outbox: Outbox) -> None:
        self.topics = Topics(kafka.topic_prefix)
        self._kafka = kafka
        self._outbox = outbox
        self.state: restore.Restored | None = None

    async def restore(self, window: timedelta = WINDOW) -> restore.Restored:
        group, client = self._kafka.group("stream"), self._kafka.client_options()
        self.state = await restore.restore(PARTITION, group, self.topics, client, window)
        return self.state

    async def write(self, names: list[str], status: str = "complete") -> list[int]:
        event = WebhookEvent(type="alert", action="updated", attributes={"uuid": str(uuid4())})
        records = [
            compose.first(event, RawHeaders(name, "vendor", "d", datetime.now(UTC)), Finding(status), "https://app")
            for name in names
        ]
        return await self._wrote([Output(self.topics.enriched, b"k", r.value, r.headers()) for r in records], names)

    async def complete(self, name: str) -> None:
        headers = [("event-id", name.encode()), ("revision", b"1"), ("status", b"complete")]
        await self._wrote([Output(self.topics.enriched, b"k", b"{}", headers)], [])

    async def checkpoint(self, pending: list[int]) -> None:
        await self._outbox.write(lambda: self.state.ledger.checkpoint(time.monotonic(), 0.0, pending))

    async def _wrote(self, outputs: list[Output], names: list[str]) -> list[int]:
        found: list[int] = []

        def wrote(offsets) -> None:
            found.extend(offsets)
            self.state.ledger.wrote([digest(name) for name in names], int(time.time() // 60))
            self.state.ledger.reached(self.topics.enriched, offsets[-1] + 1)

        await self._outbox.write(lambda: outputs, wrote)
        return found


@contextlib.asynccontextmanager
async def owner(kafka: KafkaSettings) -> AsyncIterator[Owner]:
    outbox = Outbox(PARTITION, f"{kafka.topic_prefix}stream-{PARTITION}", kafka.client_options())
    await outbox.fence()
    try:
        one = Owner(kafka, outbox)
        await one.restore()
        yield one
    finally:
        await outbox.close()


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def known(state: restore.Restored, wanted: list[str]) -> int:
    return sum(digest(name) in state.marks for name in wanted)


def test_a_new_owner_reads_the_checkpoint_and_only_the_tail(kafka_settings):
    async def scenario() -> None:
        async with owner(kafka_settings) as first:
            await first.write(names("a", 300))
            pending = await first.write(["waits", "is completed before", "is completed after"], "pending")
            await first.complete("is completed before")
            await first.checkpoint([pending[0], pending[2]])
            await first.write(names("b", 50))
            await first.complete("is completed after")
            await first.write(["waits too"], "pending")
        async with owner(kafka_settings) as second:
            assert second.state.checkpointed == 303
            assert known(second.state, names("a", 300) + names("b", 50)) == 350
            assert sorted(second.state.pending) == ["waits", "waits too"]
            assert second.state.pending["waits"].offset == pending[0]
            await second.checkpoint([each.offset for each in second.state.pending.values()])
            await second.write(names("c", 7))
        async with owner(kafka_settings) as third:
            assert third.state.checkpointed == 354
            assert len(third.state.marks) == 361
            assert sorted(third.state.pending) == ["waits", "waits too"]

    asyncio.run(scenario())


@pytest.mark.parametrize("loss", ["lost", "damaged", "a longer window"])
def test_without_a_checkpoint_that_is_of_use_the_topic_tells_the_same(kafka_settings, loss):
    async def scenario() -> None:
        async with owner(kafka_settings) as first:
            await first.write(names("a", 300))
            await first.write(["waits"], "pending")
            if loss == "a longer window":  # as if older marks had been dropped from it
                first.state.ledger._head = restore.Head(0, 0, time.time() - 60)
            await first.checkpoint([])
            if loss != "a longer window":
                value = b"{}" if loss == "damaged" else None
                key = b"%d/0" % PARTITION
                await first._outbox.write(lambda: [Output(first.topics.marks, key, value, ())])
        async with owner(kafka_settings) as second:
            assert second.state.checkpointed == (301 if loss == "a longer window" else 0), (
                "what it holds is never dropped"
            )
            assert known(second.state, names("a", 300)) == 300
            assert sorted(second.state.pending) == ["waits"]
            await second.checkpoint([each.offset for each in second.state.pending.values()])
        async with owner(kafka_settings) as third:
            assert third.state.checkpointed == 301, "and the next checkpoint is good again"

    asyncio.run(scenario())


def test_without_a_checkpoint_what_is_pending_longer_than_the_window_is_found(kafka_settings, monkeypatch):
    monkeypatch.setattr(restore, "SLACK", timedelta(0))

    async def scenario() -> None:
        async with owner(kafka_settings) as first:
            await first.write(["waits"], "pending")
            await asyncio.sleep(1.5)
            await first.write(["new"])
            window = timedelta(seconds=1)
            assert sorted((await first.restore(window)).pending) == ["waits"]
            assert known(first.state, ["new"]) == 1

    asyncio.run(scenario())


def test_what_a_fenced_owner_writes_too_late_is_never_seen(kafka_settings):
    async def scenario() -> None:
        async with owner(kafka_settings) as zombie:
            await zombie.write(["before"])
            async with owner(kafka_settings) as heir:
                await heir.write(["after"])
                with pytest.raises(KafkaError):
                    await zombie.write(["too late"])
        async with owner(kafka_settings) as third:
            assert known(third.state, ["before", "after"]) == 2
            assert known(third.state, ["too late"]) == 0
            assert third.state.checkpointed == 0

    asyncio.run(scenario())


def test_after_an_outage_marks_reach_back_from_the_first_record_that_waits(kafka_settings):
    async def scenario() -> None:
        raw = Topics(kafka_settings.topic_prefix).raw
        received = datetime.now(UTC) - timedelta(hours=60)
        async with AIOKafkaProducer(**kafka_settings.client_options()) as producer:
            headers = [("event-id", b"x"), ("received-at", isoformat(received).encode())]
            await producer.send_and_wait(raw, b"{}", partition=PARTITION, headers=headers)
        group = kafka_settings.group("stream")
        # Or it commits the end of the topic, where it stands, when it stops.
        options = kafka_settings.client_options() | {"group_id": group, "enable_auto_commit": False}
        async with AIOKafkaConsumer(**options) as consumer:
            consumer.assign([TopicPartition(raw, PARTITION)])
            await consumer.commit({TopicPartition(raw, PARTITION): 0})
        async with owner(kafka_settings) as one:
            await one.checkpoint([])
            assert one.state.ledger._head.since == pytest.approx((received - WINDOW).timestamp(), abs=1)

    asyncio.run(scenario())


def test_a_word_reaches_the_other_workers_and_no_checkpoint(kafka_settings):
    async def scenario() -> None:
        heard: list[tuple[str, float]] = []
        talkers = [Gossip(kafka_settings, lambda *word: heard.append(word)) for _ in range(3)]
        tasks = [asyncio.create_task(each.run()) for each in talkers]
        async with asyncio.timeout(60):
            while len(heard) < 2:  # until both others listen, nobody remembers what was said
                talkers[0].tell("status 503", 300.0)
                await asyncio.sleep(0.5)
            late: list[float] = []
            newcomer = Gossip(kafka_settings, lambda _reason, silent_for: late.append(silent_for))
            tasks.append(asyncio.create_task(newcomer.run()))
            await newcomer.up_to_date.wait()
            assert late, "who starts anew has heard of it before it calls anybody"
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert {reason for reason, _ in heard} == {"status 503"}
        assert all(200 < silent_for <= 300 for silent_for in [*late, *(silent for _, silent in heard)])
        async with owner(kafka_settings) as one:
            assert one.state.checkpointed == 0

    asyncio.run(scenario())
