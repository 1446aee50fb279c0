"""A replay on real Kafka: counted, sent once however often it is stopped, from the archive where Kafka has it no more."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from events.codec import decode_enriched, encode
from events.errors import NotReady
from events.headers import as_text, enriched_headers
from events.records import EnrichedEvent, Enrichment, Receipt, WebhookEvent
from events.settings import KafkaSettings
from events.topics import Topics
from ops import replay_page, replay_run
from ops.replay import Counts, Plan, wants
from ops.replay_run import Replay, archived
from ops.scan import Span, scan
from sinks import rules_file
from sinks.archive.compaction import clear, compact
from sinks.archive.shapes import DELIVERIES, ENRICHED, Shape
from sinks.archive.storage import Folder
from sinks.archive.writer import PartitionWriter

pytestmark = pytest.mark.kafka

RULES = """\
targets: {soc: {type: log}, chat: {type: mattermost, url: "https://chat.example/hooks/x"}}
rules: [{name: alerts, match: {type: alert}, notify: [soc, chat]}]
unmatched: drop
"""
BEGIN = datetime.now(UTC) - timedelta(minutes=5)
EVENTS = 40


def event(n: int) -> EnrichedEvent:
    return EnrichedEvent(
        event_id=f"c/{n}",
        received_at=BEGIN + timedelta(seconds=n),
        event=WebhookEvent(type="alert" if n % 2 else "case", action="created", attributes={"uuid": f"u{n}"}),
        enrichment=Enrichment(status="complete"),
    )


def plan(job: str = "j1", **more: object) -> Plan:
    until = BEGIN + timedelta(hours=1)
    begun = datetime.now(UTC).isoformat()
    return Plan(
        **({"begun": begun, "job": job, "target": "soc", "since": BEGIN.isoformat(), "until": until.isoformat()} | more)
    )  # type: ignore[arg-type]


async def fill(kafka: KafkaSettings) -> None:
    topics = Topics(kafka.topic_prefix)
    async with AIOKafkaProducer(**kafka.client_options(), acks="all") as producer:
        for n in range(EVENTS):
            one = event(n)
            await producer.send_and_wait(topics.enriched, encode(one), key=b"u%d" % n, headers=enriched_headers(one))
        receipt = Receipt(event_id="c/1", target="soc", outcome="delivered")
        await producer.send_and_wait(topics.deliveries, encode(receipt), key=b"u1")


def put(root: Path, place: TopicPartition, records: list[object], shape: Shape = ENRICHED) -> None:
    """Archive records in small files, and merge these."""
    writer = PartitionWriter(Folder(root), place.topic, place.partition, "w", shape)
    writer.claim(log_start=0, log_end=len(records))
    for first in range(0, len(records), 2):
        some = records[first : first + 2]
        writer.commit(first + len(some), writer.write(some).files)
    compact(Folder(root), place.topic, place.partition, "w", None, at_least=2)
    clear(Folder(root), place.topic, place.partition, timedelta(0))


async def drop(kafka: KafkaSettings, places: dict[TopicPartition, int]) -> None:
    """Let what lies before these offsets leave Kafka."""
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        await admin.delete_records({place: RecordsToDelete(before_offset=end) for place, end in places.items()})
    finally:
        await admin.close()


async def redelivered(kafka: KafkaSettings) -> list[tuple[dict[str, str], EnrichedEvent]]:
    topic = Topics(kafka.topic_prefix).redeliveries
    return [(as_text(each.headers), decode_enriched(each.value)) async for each in scan(kafka, topic)]


def replay(kafka: KafkaSettings, job: Plan, root: Path | None = None) -> Replay:
    return Replay(kafka, job, wants(job, rules_file.parse(RULES, "test", {})), root)


async def counted(kafka: KafkaSettings, root: Path | None = None, **more: object) -> Counts:
    return await replay(kafka, plan(**more), root).count(lambda _n, _all: None)


@pytest.mark.long
def test_a_replay_that_is_stopped_is_gone_on_with(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_run, "AT_A_TIME", 2)

    class Stopped(Exception):
        """As Ctrl-C between two transactions."""

    def stop(done: int, _all: int) -> None:
        if done >= 7:
            raise Stopped

    async def scenario() -> None:
        await fill(kafka_settings)
        counts = await counted(kafka_settings)
        assert (counts.looked_at, counts.wanted, counts.got, counts.left) == (EVENTS, EVENTS // 2, 1, EVENTS // 2 - 1)
        with pytest.raises(Stopped):
            await replay(kafka_settings, plan()).send(1000, stop)
        assert 7 <= len(await redelivered(kafka_settings)) < EVENTS // 2 - 1
        await replay(kafka_settings, plan()).send(1000, lambda _n, _all: None)
        assert await replay(kafka_settings, plan()).send(1000, lambda _n, _all: None) == 0
        found = await redelivered(kafka_settings)
        ids = Counter(one.event_id for _, one in found)
        assert ids == Counter(f"c/{n}" for n in range(3, EVENTS, 2))
        marks = {(headers["target"], headers["cause"], headers["job-id"]) for headers, _ in found}
        assert marks == {("soc", "replay", "j1")}
        # Another job with --again sends also what was told already.
        await replay(kafka_settings, plan("j2", again=True, alert="u1")).send(1000, lambda _n, _all: None)
        assert [one.event_id for headers, one in await redelivered(kafka_settings) if headers["job-id"] == "j2"] == [
            "c/1"
        ]

    asyncio.run(scenario())


def test_what_kafka_has_no_more_comes_from_the_archive(tmp_path: Path) -> None:
    place = TopicPartition("e", 3)
    put(tmp_path, place, [SimpleNamespace(offset=n, value=encode(event(n))) for n in range(EVENTS)])
    until = BEGIN + timedelta(seconds=30)
    found = list(archived(tmp_path, place, Span(0, 25), BEGIN + timedelta(seconds=5), until))
    assert [each.offset for each in found] == list(range(5, 25))
    assert [each.key for each in found] == [b"u%d" % n for n in range(5, 25)]
    assert [decode_enriched(each.value) for each in found] == [event(n) for n in range(5, 25)]


def test_beyond_what_kafka_keeps_the_target_gets_what_it_has_not(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    topics = Topics(kafka_settings.topic_prefix)
    enriched, deliveries = TopicPartition(topics.enriched, 0), TopicPartition(topics.deliveries, 0)
    events, told = [event(n) for n in range(EVENTS)], (1, 3, 5)
    receipts = [encode(Receipt(event_id=f"c/{n}", target="soc", outcome="delivered")) for n in told]

    async def scenario() -> tuple[Counts, Counts, Counts, list[Counts]]:
        async with AIOKafkaProducer(**kafka_settings.client_options(), acks="all") as producer:
            for n, one in enumerate(events):  # all in one partition, as if the topics had grown since
                headers = enriched_headers(one)
                await producer.send_and_wait(topics.enriched, encode(one), b"u%d" % n, partition=0, headers=headers)
            for receipt in receipts:
                await producer.send_and_wait(topics.deliveries, receipt, partition=0)
        put(tmp_path, enriched, [SimpleNamespace(offset=n, value=encode(one)) for n, one in enumerate(events)])
        await drop(kafka_settings, {enriched: EVENTS // 2, deliveries: 2})
        unknown = await counted(kafka_settings, tmp_path)
        at = round(BEGIN.timestamp() * 1000)
        slips = [SimpleNamespace(offset=n, value=each, timestamp=at) for n, each in enumerate(receipts)]
        put(tmp_path, deliveries, slips, DELIVERIES)
        known = await counted(kafka_settings, tmp_path)
        of_one = [await counted(kafka_settings, tmp_path, alert=f"u{n}") for n in (21, 23)]
        return unknown, known, await counted(kafka_settings, alert="u21"), of_one

    unknown, known, late, of_one = asyncio.run(scenario())
    assert (unknown.looked_at, unknown.got, unknown.left, unknown.doubtful) == (EVENTS, 1, 19, 19)
    assert (known.looked_at, known.got, known.left, known.doubtful) == (EVENTS, 3, 17, 0)
    assert [counts.picks[0] for counts in of_one] == [{21}, {23}]
    assert (late.left, late.doubtful) == (1, 1)


def test_what_was_enriched_long_after_it_came_is_meant_too(kafka_settings: KafkaSettings) -> None:
    since = BEGIN - timedelta(days=2)
    late = event(1).model_copy(update={"received_at": since + timedelta(minutes=30)})

    async def scenario() -> Counts:
        await fill(kafka_settings)
        async with AIOKafkaProducer(**kafka_settings.client_options(), acks="all") as producer:
            headers = enriched_headers(late)
            await producer.send_and_wait(Topics(kafka_settings.topic_prefix).enriched, encode(late), headers=headers)
        span = {"since": since.isoformat(), "until": (since + timedelta(hours=1)).isoformat()}
        return await counted(kafka_settings, again=True, **span)

    counts = asyncio.run(scenario())
    assert (counts.looked_at, counts.left) == (1, 1)


def test_what_leaves_kafka_before_its_turn_is_told(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        await fill(kafka_settings)
        job = replay(kafka_settings, plan())
        counts = await job.count(lambda _n, _all: None)
        number = next(number for number, picks in counts.picks.items() if picks)

        async def count(_progress: object) -> Counts:
            await drop(kafka_settings, {TopicPartition(Topics(kafka_settings.topic_prefix).enriched, number): 3})
            return counts

        monkeypatch.setattr(job, "count", count)
        with pytest.raises(NotReady, match=f"^{len(counts.picks[number] & {0, 1, 2})} records left Kafka .* --job j1"):
            await job.send(1000, lambda _n, _all: None)

    asyncio.run(scenario())


def test_the_command_counts_and_tells_people_only_when_told(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(fill(kafka_settings))
    (tmp_path / "tocsin.yml").write_text(RULES, "utf-8")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_settings.bootstrap_servers)
    monkeypatch.setenv("KAFKA_TOPIC_PREFIX", kafka_settings.topic_prefix)
    assert replay_page.run(plan(), rate=5, yes=False) == 0
    said = capsys.readouterr().out
    assert "19  to be sent: 0:00:04 at 5 a second" in said
    assert "Nothing is sent without --yes." in said
    with pytest.raises(Exception, match="chat tells people: nothing is sent again to it without --notify"):
        replay_page.run(plan(target="chat"), rate=5, yes=True)
    assert asyncio.run(redelivered(kafka_settings)) == []
    assert replay_page.run(plan(target="chat", notify=True), rate=1000, yes=True) == 0
    assert "tocsin replay --job j1 goes on" in capsys.readouterr().out
    assert len(asyncio.run(redelivered(kafka_settings))) == EVENTS // 2
    assert replay_page.resume("j1").target == "chat"


def test_a_topic_of_ones_own_gets_everything_once(kafka_settings: KafkaSettings) -> None:
    name = f"{kafka_settings.topic_prefix}mine"

    async def went(job: str, **more: object) -> int:
        one = plan(job, target=f"topic:{name}", **more)
        return await Replay(kafka_settings, one, wants(one, None), None).send(10_000, lambda _n, _all: None)

    async def scenario() -> None:
        await fill(kafka_settings)
        one = plan("t1", target=f"topic:{name}")
        counts = await Replay(kafka_settings, one, wants(one, None), None).count(lambda _n, _all: None)
        assert (counts.wanted, counts.left) == (EVENTS, EVENTS)  # before there is such a topic
        assert await went("t1") == EVENTS
        assert (await went("t1"), await went("t2")) == (0, 0)
        assert await went("t3", where="type: case", again=True) == EVENTS // 2
        found = [(record.key, as_text(record.headers), record) async for record in scan(kafka_settings, name)]
        assert Counter(headers["event-id"] for _, headers, _ in found) == Counter(
            {f"c/{n}": 1 if n % 2 else 2 for n in range(EVENTS)}
        )
        for key, headers, record in found:
            read = decode_enriched(record.value)
            assert (key, headers["event-id"]) == (read.event_id.replace("c/", "u").encode(), read.event_id)
            assert headers.items() >= {"status": "complete", "revision": "0", "cause": "replay"}.items()
            assert read.model_extra
            assert read.model_extra["replay"]["job"] == headers["job-id"]

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["tocsin.raw.v1", "__consumer_offsets", "a b", "", ".."])
def test_no_replay_goes_to_a_topic_of_the_pipeline(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(NotReady, match="topic"):
        replay_page.begin(f"topic:{name}", BEGIN, None, alert="", where="", rule="", again=False, notify=False)
