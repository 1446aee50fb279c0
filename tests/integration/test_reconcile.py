"""Every kind of gap, planted on real topics and in a real archive, is named; without gaps nothing is."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from events.codec import encode
from events.headers import DeadLetter, RawHeaders, enriched_headers
from events.records import EnrichedEvent, Enrichment, Receipt, WebhookEvent
from events.settings import KafkaSettings
from events.topics import Topics
from ops import mend, reconcile_page
from ops.archive_files import listed
from ops.reconcile import Asked, Report, reconcile, unaccounted
from ops.scan import Span, reading
from sinks import rules_file
from sinks.archive.compaction import clear, compact
from sinks.archive.storage import Folder
from sinks.archive.writer import PartitionWriter

pytestmark = pytest.mark.kafka

RULES = """\
targets: {soc: {type: log}, mail: {type: log}}
rules:
  - {name: alerts, match: {type: alert}, notify: soc}
  - {name: cases, match: {type: case}, notify: mail}
unmatched: drop
"""
RULES_NOW = rules_file.parse(RULES, "test", {})
BEGIN = datetime.now(UTC) - timedelta(hours=1)
ALERTS = 6


class World:
    """A site in one partition, as the rooms would have left it; `gaps` names what each of them left out."""

    def __init__(self, kafka: KafkaSettings, root: Path) -> None:
        self.kafka, self.root, self.topics = kafka, root, Topics(kafka.topic_prefix)
        self.place = TopicPartition(self.topics.enriched, 0)

    async def make(self, *gaps: str) -> None:
        events = [self.event(n) for n in range(ALERTS)]
        async with AIOKafkaProducer(**self.kafka.client_options(), acks="all") as self.producer:
            await self.raw(events)
            enriched = [each for n, each in enumerate(events) if not ("enriched" in gaps and n == 2)]
            offsets = [await self.send(self.topics.enriched, encode(each), enriched_headers(each)) for each in enriched]
            for n, each in enumerate(enriched):
                if not ("receipt" in gaps and n == 3):
                    receipt = Receipt(
                        event_id=each.event_id, target="soc", outcome="accepted", rules_version=RULES_NOW.version
                    )
                    await self.send(self.topics.deliveries, encode(receipt), [])
        for group, topic, end in (("stream", self.topics.raw, 100), ("soc", self.topics.enriched, offsets[-1] + 1)):
            await self.commit(group, TopicPartition(topic, 0), end)
        self.archive(enriched, offsets, *gaps)

    async def raw(self, events: list[EnrichedEvent]) -> None:
        for n, each in enumerate(events):
            headers = RawHeaders(each.event_id, "vendor", f"d{n}", each.received_at, hook="h").to_kafka()
            for _ in range(2 if n == 4 else 1):  # one came twice
                await self.send(self.topics.raw, orjson.dumps(each.event.model_dump()), headers)
        broken = await self.send(self.topics.raw, b"{", RawHeaders("d9", "delivery", "d9", BEGIN).to_kafka())
        letter = DeadLetter("stream", "not JSON", self.topics.raw, 0, broken)
        await self.send(self.topics.dead_letters, b"{", letter.to_kafka())

    def event(self, n: int) -> EnrichedEvent:
        return EnrichedEvent(
            event_id=f"c/{n}",
            received_at=BEGIN + timedelta(seconds=n),
            event=WebhookEvent(
                type="alert",
                action="created",
                attributes={"uuid": f"u{n}", "short_id": f"AL{n}"},
                metadata={"created_at": BEGIN.isoformat(), "community_uuid": "c"},
            ),
            enrichment=Enrichment(status="complete"),
        )

    async def send(self, topic: str, value: bytes, headers: list[tuple[str, bytes]]) -> int:
        # Keyed as ingest keys, and all in one partition, so that what lies beside what can be said.
        key = dict(headers).get("event-id", b"c/k").replace(b"c/", b"u")
        sent = await self.producer.send_and_wait(topic, value, key=key, partition=0, headers=headers)
        return int(sent.offset)

    async def commit(self, group: str, place: TopicPartition, offset: int) -> None:
        consumer = AIOKafkaConsumer(
            **self.kafka.client_options(), group_id=self.kafka.group(group), enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign([place])
            await consumer.commit({place: offset})
        finally:
            await consumer.stop()

    def archive(self, events: list[EnrichedEvent], offsets: list[int], *gaps: str) -> None:
        writer = PartitionWriter(Folder(self.root), self.topics.enriched, 0, "w")
        writer.claim(log_start=0, log_end=offsets[-1] + 1)
        records = [SimpleNamespace(offset=o, value=encode(e)) for o, e in zip(offsets, events, strict=True)]
        half = len(records) // 2
        for number, part in enumerate((records[:half], records[half:])):
            rows = part[1:] if "row" in gaps and part[0].offset == 0 else part
            written = writer.write(rows)
            writer.commit(part[-1].offset + 1, written.files)
            if "file" in gaps and number == 1:
                (self.root / written.files[0].path).unlink()
        if "merged" in gaps:
            compact(Folder(self.root), self.topics.enriched, 0, "w", None, at_least=2)
            clear(Folder(self.root), self.topics.enriched, 0, timedelta(0))
        if "merged file" in gaps:
            (self.root / listed(self.root, self.topics.enriched, 0, Span(0, 100)).files[0].path).unlink()

    async def reconcile(self, **more: Any) -> Report:
        asked = Asked(BEGIN - timedelta(minutes=5), datetime.now(UTC), timedelta(hours=24), RULES_NOW, self.root)
        return await reconcile(self.kafka, replace(asked, **more), lambda _n, _all: None)


class Api:
    """The Alert API's list."""

    def __init__(self, *numbers: int) -> None:
        at = int(BEGIN.timestamp())
        self.items = [
            {"uuid": f"u{n}", "short_id": f"AL{n}", "community_uuid": "c", "created_at": at, "updated_at": at}
            for n in numbers
        ]

    async def updated(self, _since: datetime, offset: int = 0) -> list[dict[str, Any]]:
        return self.items[offset:]


@pytest.mark.parametrize(("gaps", "said"), [(("merged",), {}), (("merged", "merged file"), {"lost archive file": 1})])
def test_a_merged_archive_is_whole_until_its_file_is_gone(
    kafka_settings: KafkaSettings, tmp_path: Path, gaps: tuple[str, ...], said: dict[str, int]
) -> None:
    async def scenario() -> Report:
        world = World(kafka_settings, tmp_path)
        await world.make(*gaps)
        return await world.reconcile()

    assert unaccounted(asyncio.run(scenario())) == said


@pytest.mark.parametrize(
    ("gap", "kind", "named"),
    [
        ("enriched", "lost enriched record", "raw.v1/0/2"),
        ("receipt", "lost receipt", "enriched.v1/0/3"),
        ("row", "lost row", "enriched.v1/0/0"),
        ("file", "lost archive file", ".parquet"),
    ],
)
def test_a_planted_gap_is_named(kafka_settings: KafkaSettings, tmp_path: Path, gap: str, kind: str, named: str) -> None:
    async def scenario() -> Report:
        world = World(kafka_settings, tmp_path)
        await world.make(gap)
        return await world.reconcile()

    report = asyncio.run(scenario())
    assert unaccounted(report) == {kind: 1}
    assert named in report.gaps[0].place


def test_what_came_in_and_was_lost_is_handed_to_the_stream_once_more(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    async def scenario() -> tuple[int, list[ConsumerRecord], Report]:
        world = World(kafka_settings, tmp_path)
        await world.make("enriched")
        fed = await mend.feed(kafka_settings, (await world.reconcile()).gaps)
        place = TopicPartition(world.topics.raw, 0)
        async with reading(kafka_settings) as reader:
            raw = [record async for record in reader.records(await reader.spans([place]))]
        async with AIOKafkaProducer(**kafka_settings.client_options(), acks="all") as world.producer:
            await world.send(world.topics.enriched, encode(world.event(2)), enriched_headers(world.event(2)))
        return fed, raw, await world.reconcile()

    fed, raw, after = asyncio.run(scenario())
    assert fed == 1
    assert (raw[-1].key, raw[-1].value, raw[-1].headers) == (raw[2].key, raw[2].value, raw[2].headers)
    assert (len(raw), raw[2].key) == (ALERTS + 3, b"u2")
    assert after.gaps == []


def test_all_is_accounted_for_but_the_webhook_that_never_came(
    kafka_settings: KafkaSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> tuple[Report, Report, Report]:
        world = World(kafka_settings, tmp_path)
        await world.make()
        whole = await world.reconcile(pages=Api(*range(ALERTS)))
        lost = await world.reconcile(pages=Api(*range(ALERTS + 1)))
        others = rules_file.parse(RULES.replace("type: case", "type: alert"), "test", {})
        return whole, lost, await world.reconcile(rules=others)

    whole, lost, others = asyncio.run(scenario())
    assert whole.gaps == []
    # The broken one is an event too, accounted for by its letter.
    assert (whole.stream.expected, whole.stream.there, whole.origins["webhook"]) == (ALERTS + 1, ALERTS + 1, ALERTS + 2)
    assert (whole.alerts and whole.alerts.there, whole.archive and whole.archive.there) == (ALERTS, ALERTS)
    assert whole.targets["soc"].there == ALERTS
    (gap,) = lost.gaps
    assert (gap.kind, gap.place, gap.alert, gap.event) == ("lost webhook", "AL6", "u6", "created:c/u6")
    # The sinks had other rules: nothing is said to be missing, and that it was not judged is.
    assert (others.targets["mail"].waiting, others.gaps) == (ALERTS, [])
    assert any("other rules than the file at hand" in note for note in others.notes)
    reconcile_page.show(lost)
    said = capsys.readouterr().out
    assert "lost webhook (1)" in said
    assert "1 unaccounted for" in said
    assert "deleted alerts" in said
    reconcile_page.show(whole)
    assert "Everything is accounted for." in capsys.readouterr().out


def test_the_command_ends_with_one_when_something_is_unaccounted_for(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(kafka_settings, tmp_path / "data" / "archive")
    asyncio.run(world.make("receipt"))
    (tmp_path / "tocsin.yml").write_text(RULES, "utf-8")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_settings.bootstrap_servers)
    monkeypatch.setenv("KAFKA_TOPIC_PREFIX", kafka_settings.topic_prefix)
    monkeypatch.setattr(reconcile_page, "SETTLING", timedelta(0))
    assert reconcile_page.run(BEGIN, api=True, as_json=True) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["unaccounted"] == {"lost receipt": 1}
    assert "SEKOIA_API_KEY is not set" in said["notes"][0]
