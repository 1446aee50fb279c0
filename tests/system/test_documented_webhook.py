"""The README's example, run as it stands there: one event at every place, and its copy at one more."""

import asyncio
import re
import subprocess
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from events.codec import decode_enriched
from events.topics import Topics
from sandbox import pipeline
from sandbox.lag import Lag
from sandbox.simulate import DOCUMENTED
from sinks.archive.read import read_rows

README = Path(__file__).parents[2] / "README.md"


def command(hook_url: str) -> list[str]:
    """Take the curl command from the README, with the hook's own address."""
    text = README.read_text("utf-8")
    block = re.search(r"^curl \S+/hooks/YOUR-TOKEN -d '(.*?)'$", text, re.MULTILINE | re.DOTALL)
    assert block, "the README has no such example"
    return ["curl", "-sS", "--fail", "-o", "/dev/null", "-w", "%{http_code}", hook_url, "-d", block[1]]


async def post(hook_url: str) -> str:
    done = await asyncio.to_thread(subprocess.run, command(hook_url), capture_output=True, text=True, check=True)
    return done.stdout


async def until_quiet(running: pipeline.Pipeline) -> None:
    async with asyncio.timeout(60), Lag(running.kafka) as lag:
        while any((await running.lag(lag)).values()) or await running.pending():
            await asyncio.sleep(0.2)


async def values(running: pipeline.Pipeline, topic: str) -> list[bytes]:
    options = {"isolation_level": "read_committed", "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer(**running.kafka.client_options(), **options) as consumer:
        partitions = [TopicPartition(topic, number) for number in range(pipeline.PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found = []
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [record.value for record in records]
        return found


@pytest.mark.system
def test_the_documented_webhook_posted_twice(tmp_path):
    async def scenario() -> None:
        async with pipeline.running(tmp_path, seed=1, quirks=(), announce=print, say=print) as running:
            running.tenant.create_alert(oddity="", **DOCUMENTED)
            alert = running.tenant.alert(DOCUMENTED["uuid"])
            names, hook = Topics(running.kafka.topic_prefix), running.layout.hook_url
            body = command(hook)[-1].encode()
            for copies in (1, 2):
                assert await post(hook) == "200"
                await until_quiet(running)
                assert await values(running, names.raw) == [body] * copies
                (enriched,) = map(decode_enriched, await values(running, names.enriched))
                (card,) = running.teams.posts
                rows = read_rows(tmp_path / "archive")
                assert rows.num_rows == 1

        assert enriched.event.model_dump(mode="json") == orjson.loads(body)
        assert enriched.enrichment.status == "complete"
        for known in ("title", "status", "urgency", "rule", "entity"):
            assert enriched.alert[known] == alert[known]
        assert enriched.links.alert.endswith(DOCUMENTED["short_id"])
        assert card.shown
        assert card.event_id == enriched.event_id
        shown = orjson.dumps(card.card).decode()
        for text in (alert["rule"]["name"], alert["entity"]["name"], f"{alert['urgency']['current_value']}/100"):
            assert text in shown
        assert card.card["actions"][0]["url"] == enriched.links.alert
        (row,) = rows.to_pylist()
        assert row["event_id"] == enriched.event_id
        assert row["alert_uuid"] == DOCUMENTED["uuid"]

    asyncio.run(scenario())
