"""The life of one alert, looked up in a running pipeline: what came, what was made of it, who was told."""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from events.codec import encode
from events.records import EnrichedEvent, Enrichment, Receipt, WebhookEvent
from events.settings import KafkaSettings
from events.topics import Topics
from ingest.partitioner import partition_of
from ops import life_partition, life_reader
from ops.scan import scan
from sandbox import evidence, pipeline
from sandbox.pipeline import Pipeline
from sandbox.plan import bare_environment
from sinks.archive.shapes import DELIVERIES
from sinks.archive.storage import Folder
from sinks.archive.writer import PartitionWriter

pytestmark = pytest.mark.kafka

OTHERS = 30
PATIENCE = 120.0
RULES = """\
targets:
  teams: {{type: teams, url: "{url}"}}
  quiet: {{type: log}}
rules:
  - {{name: all alerts, match: {{type: alert}}, notify: teams}}
  - {{name: cases alone, match: {{type: case}}, notify: quiet}}
unmatched: drop
"""


def test_the_whole_life_of_an_alert_is_shown(tmp_path: Path) -> None:
    asyncio.run(_life(tmp_path))


def test_a_receipt_far_from_its_record_is_found_in_the_archive_and_never_lost_where_it_was_not_read(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("TAIL", 5), ("NEAR", 2), ("LIMIT", 40)):
        monkeypatch.setattr(life_partition, name, value)
    topics = Topics(kafka_settings.topic_prefix)

    async def scenario() -> None:
        uuid = str(uuid4())
        event = EnrichedEvent(
            event_id="c/1",
            received_at=datetime.now(UTC),
            event=WebhookEvent(type="alert", action="created", attributes={"uuid": uuid}),
            enrichment=Enrichment(status="complete"),
        )
        others = [(f"c/other-{number}", b"x") for number in range(100)]
        place = partition_of(uuid.encode(), kafka_settings.partitions)
        async with AIOKafkaProducer(**kafka_settings.client_options(), acks="all") as producer:
            await producer.send_and_wait(topics.enriched, encode(event), uuid.encode())
            for event_id, key in [*others, ("c/1", uuid.encode()), *others]:
                receipt = encode(Receipt(event_id=event_id, alert=uuid, target="soc", outcome="accepted"))
                await producer.send(topics.deliveries, receipt, key, partition=place)
        # The first time nothing is archived, the second time all but the newest.
        without = await life_reader.read(kafka_settings, uuid, None, tmp_path, None)
        assert (without.receipts, without.receipts_whole) == ([], False)
        writer = PartitionWriter(Folder(tmp_path), topics.deliveries, place, "w", DELIVERIES)
        records = [each async for each in scan(kafka_settings, topics.deliveries) if each.offset < 180]
        writer.claim(log_start=0, log_end=201)
        writer.commit(180, writer.write(records).files)
        found = await life_reader.read(kafka_settings, uuid, None, tmp_path, None)
        assert [each.offset for each in found.receipts] == [100]
        assert found.receipts_whole
        since = await life_reader.read(kafka_settings, uuid, event.received_at - timedelta(hours=1), None, None)
        assert ([each.offset for each in since.receipts], since.receipts_whole) == ([100], True)

    asyncio.run(scenario())


async def _life(folder: Path) -> None:
    async with pipeline.running(folder, seed=5, quirks=(), announce=lambda _: None, say=lambda _: None) as site:
        (folder / "tocsin.yml").write_text(RULES.format(url=site.layout.teams_url), "utf-8")
        others = [site.tenant.create_alert() for _ in range(OTHERS)]
        body = site.tenant.create_alert()
        uuid, short_id = body["attributes"]["uuid"], body["attributes"]["short_id"]
        await _post(site, [*others, body, body])
        await _settled(site, OTHERS + 1)
        life = json.loads(await _why(site, folder, uuid, "--json"))
        (event,) = life["events"]
        assert [each["fate"] for each in event["arrivals"]] == ["enriched", "duplicate"]
        assert {each["hook"] for each in event["arrivals"]} == {"selftest"}
        (revision,) = event["revisions"]
        assert (revision["status"], revision["what"]) == ("complete", "alert created")
        assert (folder / "archive" / revision["file"]).exists()
        told = {each["target"]: each for each in event["targets"]}
        assert told["teams"]["state"] == "accepted"
        assert told["teams"]["latency"] > 0
        assert told["quiet"]["state"] == "not matched"
        assert told["quiet"]["why"] == ["cases alone: not type: case"]
        by_short_id = json.loads(await _why(site, folder, short_id, "--json"))
        by_event_id = json.loads(await _why(site, folder, event["event_id"], "--json"))
        assert by_short_id["key"] == by_event_id["key"] == uuid
        page = await _why(site, folder, uuid)
        assert max(map(len, page.splitlines())) <= 80
        for said in ("taken by the stream", "a copy; the stream dropped it", "revision 0: complete", "not type: case"):
            assert said in " ".join(page.split())
        assert "Nothing named ALnever" in await _why(site, folder, "ALnever", code=2)
        await _away(site, folder)


async def _away(site: Pipeline, folder: Path) -> None:
    """While the receiver is away, it is said what is tried again, and when."""
    site.teams.answer_with(503, times=1_000)
    bodies = [site.tenant.create_alert() for _ in range(3)]
    await _post(site, bodies)
    uuids = [body["attributes"]["uuid"] for body in bodies]
    async with asyncio.timeout(PATIENCE):
        while not (found := await _tried_again(site, folder, uuids)):
            await asyncio.sleep(0.5)
    assert found["attempts"] > 0
    assert found["next_at"]
    assert "HTTP 503" in found["why"][0]


async def _tried_again(site: Pipeline, folder: Path, uuids: list[str]) -> dict[str, Any] | None:
    told = []
    for uuid in uuids:
        (event,) = json.loads(await _why(site, folder, uuid, "--json"))["events"]
        told += [each for each in event["targets"] if each["target"] == "teams"]
    assert {each["state"] for each in told} <= {"waiting", "tried again"}
    return next((each for each in told if each["state"] == "tried again"), None)


async def _post(site: Pipeline, bodies: list[dict[str, Any]]) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as client:
        for each in bodies:
            (await client.post(site.layout.hook_url, json=each)).raise_for_status()


async def _settled(site: Pipeline, count: int) -> None:
    """Wait until so many events have a receipt and a row."""
    topic = f"{site.kafka.topic_prefix}enriched.v1"
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await evidence.from_topics(site.kafka)
            rows = evidence.archived_rows(site.layout.data / "archive", topic)
            if len(found.receipts) >= count and len(rows) >= count:
                return
            await asyncio.sleep(0.5)


async def _why(site: Pipeline, folder: Path, *arguments: str, code: int = 0) -> str:
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": site.kafka.bootstrap_servers,
        "TOCSIN_DATA": str(folder),
        "TOCSIN_RULES": str(folder / "tocsin.yml"),
        "SINKS_ALLOW_NETWORKS": os.environ["SINKS_ALLOW_NETWORKS"],
        "INBOX_ROOMS": f"sinks={site.layout.admin['sink']}",
        "COLUMNS": "80",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "ops", "why", *arguments),
        env=bare_environment() | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == code, err.decode()
    return (err if code else out).decode()
