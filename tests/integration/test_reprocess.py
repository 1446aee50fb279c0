"""What came in goes through the stream once more: counted, under a prefix of its own, compared, and nothing left behind."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete

from events.codec import decode_enriched, encode
from events.headers import RawHeaders, enriched_headers
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from events.settings import KafkaSettings
from events.topics import Topics
from ops import reprocess, reprocess_page, topics
from ops.reprocess import Asked, Compared
from ops.scan import scan
from sandbox import alert_api
from sandbox.firewall import Firewall
from sandbox.serving import serving
from sandbox.tenant import Tenant
from sinks.archive.compaction import clear, compact
from sinks.archive.shapes import RAW
from sinks.archive.storage import Folder
from sinks.archive.writer import PartitionWriter

pytestmark = pytest.mark.kafka

BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
ALERTS = 12


async def fill(kafka: KafkaSettings, tenant: Tenant) -> list[str]:
    """Write webhooks, one of them twice and one broken, and what was made of all but the third; return the ids."""
    names, ids = Topics(kafka.topic_prefix), []
    async with AIOKafkaProducer(**kafka.client_options(), acks="all") as producer:
        for n in range(ALERTS):
            body = tenant.create_alert()
            event_id, key = f"c/{n}", body["attributes"]["uuid"].encode()
            headers = RawHeaders(event_id, "vendor", f"d{n}", BEGIN, hook="h").to_kafka()
            for _ in range(2 if n == 5 else 1):
                await producer.send_and_wait(names.raw, orjson.dumps(body), key=key, headers=headers)
            made = EnrichedEvent(
                event_id=event_id,
                received_at=BEGIN,
                event=WebhookEvent.model_validate(body),
                enrichment=Enrichment(status="unavailable" if n == 4 else "complete"),
            )
            if n != 3:
                await producer.send_and_wait(names.enriched, encode(made), key=key, headers=enriched_headers(made))
            ids.append(event_id)
        broken = RawHeaders("c/x", "delivery", "dx", BEGIN).to_kafka()
        await producer.send_and_wait(names.raw, b"{", key=b"k", headers=broken)
    return ids


async def names(kafka: KafkaSettings) -> set[str]:
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        return {name for name in await admin.list_topics() if "reprocess" in name}
    finally:
        await admin.close()


async def retention(kafka: KafkaSettings, topic: str) -> str:
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        return next(entry[1] for entry in answer.resources[0][4] if entry[0] == "retention.ms")
    finally:
        await admin.close()


def test_what_came_in_goes_through_the_stream_once_more(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tenant = Tenant(3, rich=True, odd_every=0)
    asked = Asked(BEGIN, datetime.now(UTC) + timedelta(minutes=1), f"{kafka_settings.topic_prefix}reprocess-1.")

    async def scenario() -> tuple[list[str], Compared]:
        ids = await fill(kafka_settings, tenant)
        firewall = Firewall()
        async with serving(alert_api.create_app(tenant, firewall)) as base:
            monkeypatch.setenv("SEKOIA_API_BASE", base)
            monkeypatch.setenv("SEKOIA_API_KEY", alert_api.API_KEY)
            assert await reprocess.count(kafka_settings, asked, lambda _n, _all: None) == ALERTS + 2
            found = await reprocess_page.go_through(kafka_settings, asked, keep=True)
        assert firewall.stats.blocks == 0
        own = Topics(asked.prefix)
        assert await retention(kafka_settings, own.raw) == "-1"  # or Kafka would drop copies of what is old
        read = [decode_enriched(record.value) async for record in scan(kafka_settings, own.enriched)]
        assert sorted(one.event_id for one in read if not one.revision) == sorted(ids)
        assert all(one.alert for one in read if one.enrichment.status == "complete")
        await reprocess_page._remove(kafka_settings.model_copy(update={"topic_prefix": asked.prefix}))
        assert await names(kafka_settings) == set()
        return ids, found

    ids, found = asyncio.run(scenario())
    assert (found.raw, found.events, found.letters) == (ALERTS + 2, {*ids, "c/x"}, 1)
    assert (found.only_now(), found.only_before()) == (["c/3"], [])
    assert found.statuses() == [
        ("complete", "complete", ALERTS - 2), ("nothing", "complete", 1), ("unavailable", "complete", 1)
    ]  # fmt: skip
    reprocess_page.show(found)
    said = capsys.readouterr().out
    assert "1  unavailable then, complete now" in said
    assert "only now: c/3" in said


def test_a_worker_that_cannot_run_is_told_and_leaves_nothing(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEKOIA_API_KEY", raising=False)
    asked = Asked(BEGIN, datetime.now(UTC), f"{kafka_settings.topic_prefix}reprocess-2.")

    async def scenario() -> set[str]:
        with pytest.raises(Exception, match="SEKOIA_API_KEY is not set"):
            await reprocess_page.go_through(kafka_settings, asked, keep=False)
        return await names(kafka_settings)

    assert asyncio.run(scenario()) == set()


def test_what_kafka_has_no_more_comes_from_the_archive(tmp_path: Path) -> None:
    at = [BEGIN + timedelta(seconds=n) for n in range(6)]
    records = [
        SimpleNamespace(offset=n, timestamp=round(at[n].timestamp() * 1000), key=b"k%d" % n, value=b"{%d" % n,
                        headers=[("event-id", b"c/%d" % n), ("x", b"\xff")])
        for n in range(6)
    ]  # fmt: skip
    writer = PartitionWriter(Folder(tmp_path), "r", 0, "w", RAW)
    writer.claim(log_start=0, log_end=6)
    for n, each in enumerate(records):
        writer.commit(n + 1, writer.write([each]).files)
    compact(Folder(tmp_path), "r", 0, "w", None, at_least=2)  # its entry lies behind what Kafka has no more
    clear(Folder(tmp_path), "r", 0, timedelta(0))
    found = list(reprocess.archived(tmp_path, TopicPartition("r", 0), 4, at[1], at[5]))
    assert [(each.at, each.key, each.value, each.headers) for each in found] == [
        (each.timestamp, each.key, each.value, each.headers) for each in records[1:4]
    ]


def test_what_was_made_then_is_read_from_the_archive_too(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    asked = Asked(BEGIN, datetime.now(UTC), f"{kafka_settings.topic_prefix}reprocess-3.")
    place = TopicPartition(Topics(kafka_settings.topic_prefix).enriched, 0)
    made = [
        EnrichedEvent(event_id=f"c/{n}", received_at=BEGIN, event=WebhookEvent(type="alert", action="created"),
                      enrichment=Enrichment(status="unavailable"))
        for n in range(4)
    ]  # fmt: skip

    async def scenario() -> list[Compared]:
        await topics.ensure(kafka_settings.model_copy(update={"topic_prefix": asked.prefix}))
        async with AIOKafkaProducer(**kafka_settings.client_options(), acks="all") as producer:
            for each in made:
                headers = enriched_headers(each)
                await producer.send_and_wait(place.topic, encode(each), partition=0, headers=headers)
        admin = AIOKafkaAdminClient(**kafka_settings.client_options())
        await admin.start()
        await admin.delete_records({place: RecordsToDelete(before_offset=2)})
        await admin.close()
        copied = Compared(4, {each.event_id for each in made})
        without = await reprocess.compare(kafka_settings, asked, copied)
        writer = PartitionWriter(Folder(tmp_path), place.topic, 0, "w")
        writer.claim(log_start=0, log_end=4)
        rows = [SimpleNamespace(offset=n, value=encode(each)) for n, each in enumerate(made)]
        writer.commit(4, writer.write(rows).files)
        return [without, await reprocess.compare(kafka_settings, replace(asked, root=tmp_path), copied)]

    without, whole = asyncio.run(scenario())
    assert (sorted(without.before), without.known_since is None) == (["c/2", "c/3"], False)
    assert (whole.before, whole.known_since) == ({f"c/{n}": "unavailable" for n in range(4)}, None)
