"""A sink on real Kafka: what is committed has a receipt, what has a receipt is not sent again, lag becomes zero."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from events.codec import decode_receipt, encode
from events.errors import NotReady
from events.headers import as_text, enriched_headers
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from events.settings import KafkaSettings
from events.topics import Topics
from sinks import positions, shelf
from sinks.destination import Delivered, Destination, TargetSettings, Unavailable, Undeliverable
from sinks.positions import Positions
from sinks.rules import Rule, Rules, Target
from sinks.target import TargetRun

pytestmark = pytest.mark.kafka

NAME = "soc"


class Script:
    """What the scripted destination does, and what it was given."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.away = 0
        self.refused: set[str] = set()
        self.hold: asyncio.Event | None = None
        self.pause = 0.0
        self.at_once, self.marks_attempts = 1, False

    async def stay(self, _event: EnrichedEvent) -> None:
        await asyncio.sleep(self.pause)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Put a scripted destination on the shelf under every type."""
    script = Script()

    class Scripted(Destination[TargetSettings]):
        """Do as the script says."""

        Settings = TargetSettings

        at_once, marks_attempts = property(lambda _: script.at_once), property(lambda _: script.marks_attempts)

        async def deliver(self, event: EnrichedEvent) -> Delivered:
            if script.away:
                script.away -= 1
                raise Unavailable("away", retry_after=0)
            if event.event_id in script.refused:
                raise Undeliverable("refused")
            if script.hold:
                await script.hold.wait()
            await script.stay(event)
            script.sent.append(event.event_id)
            return Delivered("taken", run_id="run")

    monkeypatch.setattr(shelf, "find", lambda _type: Scripted)
    return script


def rules(*, match: object = "all") -> Rules:
    rule = Rule.model_validate({"name": "r", "match": match, "notify": NAME})
    return Rules([rule], {NAME: target()}, "v1")


def target() -> Target:
    return Target(NAME, "scripted", TargetSettings())


def event(event_id: str, alert: str = "a", kind: str = "alert") -> EnrichedEvent:
    return EnrichedEvent(
        event_id=event_id,
        received_at=datetime.now(UTC),
        event=WebhookEvent(type=kind, action="created", attributes={"uuid": alert}),
        enrichment=Enrichment(status="not_applicable"),
    )


async def publish(kafka: KafkaSettings, *transactions: list[EnrichedEvent | bytes], abort: bool = False) -> None:
    """Write each list in a transaction of its own, keyed by alert as the stream does."""
    topic = Topics(kafka.topic_prefix).enriched
    async with AIOKafkaProducer(**kafka.client_options(), transactional_id=uuid.uuid4().hex) as producer:
        for content in transactions:
            await producer.begin_transaction()
            for one in content:
                value, key, headers = one, b"k", []
                if isinstance(one, EnrichedEvent):
                    value, key, headers = encode(one), one.event.attributes["uuid"].encode(), enriched_headers(one)
                await producer.send_and_wait(topic, value, key=key, headers=headers)
            await (producer.abort_transaction() if abort else producer.commit_transaction())


@contextlib.asynccontextmanager
async def running(kafka: KafkaSettings, *, start="earliest", use: Rules | None = None) -> AsyncIterator[TargetRun]:
    run = TargetRun(kafka, use or rules(), target(), start)
    task = asyncio.create_task(run.run())
    try:
        while not run.assigned and not task.done():
            await asyncio.sleep(0.05)
        if task.done():
            task.result()
        yield run
        run.stop()
        await asyncio.wait_for(task, 20)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def lag(kafka: KafkaSettings) -> int:
    """Return what the broker's own figures say is waiting: log end minus committed, markers included."""
    tps = [TopicPartition(Topics(kafka.topic_prefix).enriched, number) for number in range(4)]
    async with AIOKafkaConsumer(**kafka.client_options()) as consumer:
        ends = await consumer.end_offsets(tps)
    places = await positions.committed(kafka, NAME, tps)
    return sum(ends[tp] - places[tp][0] if tp in places else 10**6 for tp in tps)


async def until_no_lag(kafka: KafkaSettings, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while await lag(kafka):
            await asyncio.sleep(0.1)


async def read(kafka: KafkaSettings, topic: str) -> list[ConsumerRecord]:
    options = {"isolation_level": "read_committed", "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer(**kafka.client_options(), **options) as consumer:
        tps = [TopicPartition(topic, number) for number in range(4)]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        found = []
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += records
        return found


async def receipts(kafka: KafkaSettings) -> list:
    return [decode_receipt(record.value) for record in await read(kafka, Topics(kafka.topic_prefix).deliveries)]


def test_each_event_comes_to_its_end_once(kafka_settings, script):
    async def scenario() -> None:
        events = [event(f"e{n}", alert=f"alert-{n % 5}") for n in range(40)]
        bad = b"\xff not an event"
        await publish(kafka_settings, events[:20], [bad], events[20:])
        await publish(kafka_settings, [event("aborted")], abort=True)
        script.away, script.refused = 2, {"e7"}
        async with running(kafka_settings):
            await until_no_lag(kafka_settings)
        expected = [one.event_id for one in events if one.event_id != "e7"]
        assert sorted(script.sent) == sorted(expected)
        for number in range(5):
            mine = [ident for ident in script.sent if int(ident[1:]) % 5 == number]
            assert mine == sorted(mine, key=lambda ident: int(ident[1:]))  # order per alert
        outcomes = {one.event_id: one.outcome for one in await receipts(kafka_settings)}
        assert {ident for ident, outcome in outcomes.items() if outcome == "delivered"} == set(expected)
        assert len(outcomes) == 41
        assert outcomes["e7"] == "dead_letter"
        letters = await read(kafka_settings, Topics(kafka_settings.topic_prefix).dead_letters)
        assert bad in [letter.value for letter in letters]
        assert {as_text(letter.headers)["target"] for letter in letters} == {NAME}
        assert len(letters) == 2

    asyncio.run(scenario())


def test_receipts_lie_where_the_keys_partition_is(kafka_settings, script):
    async def scenario() -> None:
        await publish(kafka_settings, [event(f"e{n}", alert=f"alert-{n}") for n in range(8)])
        async with running(kafka_settings):
            await until_no_lag(kafka_settings)
        topics = Topics(kafka_settings.topic_prefix)
        enriched = {record.key: record.partition for record in await read(kafka_settings, topics.enriched)}
        delivered = {record.key: record.partition for record in await read(kafka_settings, topics.deliveries)}
        assert enriched == delivered

    asyncio.run(scenario())


def test_what_has_a_receipt_is_not_sent_again(kafka_settings, script, monkeypatch):
    """Die between the receipt and the commit, as kill -9 would."""

    class Killed(BaseException):
        pass

    async def die(*_args, **_options) -> bool:
        raise Killed

    async def scenario() -> None:
        await publish(kafka_settings, [event(f"e{n}") for n in range(3)])
        commit = Positions.commit
        monkeypatch.setattr(Positions, "commit", die)
        with pytest.raises(Killed):
            await TargetRun(kafka_settings, rules(), target(), "earliest").run()
        monkeypatch.setattr(Positions, "commit", commit)
        assert script.sent[0] == "e0"
        async with running(kafka_settings):
            await until_no_lag(kafka_settings)
        assert script.sent == ["e0", "e1", "e2"]
        assert len(await receipts(kafka_settings)) == 3

    asyncio.run(scenario())


def test_a_restart_goes_on_where_it_was_and_unmatched_events_cost_no_receipt(kafka_settings, script):
    async def scenario() -> None:
        rule = Rule.model_validate({"name": "r", "match": {"type": "alert"}, "notify": NAME})
        only_alerts = Rules([rule], {NAME: target()}, "v1")
        await publish(kafka_settings, [event("e0"), event("case", kind="case"), event("e1")])
        async with running(kafka_settings, use=only_alerts):
            await until_no_lag(kafka_settings)
        await publish(kafka_settings, [event("e2"), event("case2", kind="case")])
        async with running(kafka_settings, use=only_alerts):
            await until_no_lag(kafka_settings)
        assert script.sent == ["e0", "e1", "e2"]
        assert len(await receipts(kafka_settings)) == 3

    asyncio.run(scenario())


def test_by_default_a_first_start_leaves_the_past_alone(kafka_settings, script):
    async def scenario() -> None:
        await publish(kafka_settings, [event("past")])
        async with running(kafka_settings, start="now"):
            await publish(kafka_settings, [event("new")])
            await until_no_lag(kafka_settings)
        assert script.sent == ["new"]

    asyncio.run(scenario())


def test_a_first_start_at_a_time(kafka_settings, script):
    async def scenario() -> None:
        await publish(kafka_settings, [event("past")])
        await asyncio.sleep(1.1)
        time = datetime.now(UTC)
        await publish(kafka_settings, [event("since")])
        async with running(kafka_settings, start=time):
            await until_no_lag(kafka_settings)
        assert script.sent == ["since"]

    asyncio.run(scenario())


def test_two_workers_share_and_hand_over_without_repeating(kafka_settings, script):
    async def scenario() -> None:
        events = [event(f"e{n}", alert=f"alert-{n}") for n in range(120)]
        await publish(kafka_settings, events)
        async with running(kafka_settings):
            while len(script.sent) < 5:
                await asyncio.sleep(0.01)
            async with running(kafka_settings):
                await publish(kafka_settings, [event(f"f{n}", alert=f"alert-{n}") for n in range(40)])
                await asyncio.sleep(1)
            await until_no_lag(kafka_settings)
        assert len(script.sent) == len(set(script.sent)) == 160

    asyncio.run(scenario())


def test_a_partition_in_flight_is_handed_over_after_its_receipt(kafka_settings, script):
    async def scenario() -> None:
        await publish(kafka_settings, [event("e0")])
        script.hold = asyncio.Event()
        async with running(kafka_settings) as first:
            await asyncio.sleep(0.5)
            second = asyncio.create_task(TargetRun(kafka_settings, rules(), target(), "earliest").run())
            await asyncio.sleep(3)  # the group wants to rebalance and waits for the record in flight
            assert not script.sent
            script.hold.set()
            await until_no_lag(kafka_settings)
            assert script.sent == ["e0"]
            assert first.assigned
            second.cancel()
            await asyncio.wait([second])

    asyncio.run(scenario())


def test_partitions_added_later_start_at_the_beginning(kafka_settings, script):
    async def scenario() -> None:
        async with running(kafka_settings, start="now"):
            pass
        topic = Topics(kafka_settings.topic_prefix).enriched
        admin = AIOKafkaAdminClient(**kafka_settings.client_options())
        await admin.start()
        await admin.create_partitions({topic: NewPartitions(6)})
        await admin.close()
        async with AIOKafkaProducer(**kafka_settings.client_options()) as producer:
            await producer.send_and_wait(topic, encode(event("five")), partition=5)
            await producer.send_and_wait(topic, encode(event("four")), partition=4)
        async with running(kafka_settings, start="now"), asyncio.timeout(20):
            while len(script.sent) < 2:
                await asyncio.sleep(0.05)
        assert sorted(script.sent) == ["five", "four"]

    asyncio.run(scenario())


async def _commit(kafka: KafkaSettings, offsets: dict[int, tuple[int, str]]) -> None:
    topic = Topics(kafka.topic_prefix).enriched
    async with positions.client(kafka, NAME) as consumer:
        consumer.assign([TopicPartition(topic, number) for number in offsets])
        await consumer.commit({TopicPartition(topic, number): place for number, place in offsets.items()})


@pytest.mark.parametrize(
    "offsets",
    [
        pytest.param({0: (0, "4"), 1: (0, "4"), 3: (0, "4")}, id="one position is gone"),
        pytest.param({0: (0, ""), 1: (0, ""), 3: (0, "")}, id="one is gone and a tool set the others"),
        pytest.param({0: (0, "4"), 1: (0, "4"), 2: (0, "4"), 3: (999, "4")}, id="the records are gone"),
    ],
)
def test_lost_positions_stop_the_target_with_the_command(kafka_settings, script, offsets):
    async def scenario() -> None:
        await _commit(kafka_settings, offsets)
        await publish(kafka_settings, [event("e0")])
        with pytest.raises(NotReady, match=r"has lost its place.*tocsin targets reset"):
            await asyncio.wait_for(TargetRun(kafka_settings, rules(), target(), "now").run(), 20)

    asyncio.run(scenario())


def test_refusals_in_a_row_stop_the_sink(kafka_settings, script):
    async def scenario() -> None:
        await publish(kafka_settings, [event(f"e{n}") for n in range(30)])
        script.refused = {f"e{n}" for n in range(30)}
        with pytest.raises(NotReady, match="20 events in a row"):
            await asyncio.wait_for(TargetRun(kafka_settings, rules(), target(), "earliest").run(), 20)
        assert len(await read(kafka_settings, Topics(kafka_settings.topic_prefix).dead_letters)) == 20
        script.refused = set()
        async with running(kafka_settings):
            await until_no_lag(kafka_settings)
        assert script.sent == [f"e{n}" for n in range(20, 30)]

    asyncio.run(scenario())
