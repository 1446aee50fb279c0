"""The platform's own bytes at a webhook: white space, order, escapes and duplicate keys are those that were posted."""

import asyncio
import importlib.util
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from events.codec import decode_webhook, encode
from events.headers import RawHeaders
from events.identity import entity_key
from events.records import EnrichedEvent, Enrichment
from events.settings import KafkaSettings
from events.topics import Topics
from sinks import rules_file
from sinks.target import TargetRun

pytestmark = pytest.mark.kafka

_spec = importlib.util.spec_from_file_location("sink_runner_site", Path(__file__).with_name("test_sink_runner.py"))
assert _spec
assert _spec.loader
site = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(site)

ODD = [
    b'{"type":"alert","action":"created","attributes":{"uuid":"u0"}}',
    b' {\n\t"action" : "created" ,"type": "alert", "attributes": {"uuid": "u1"}  }\r\n',
    b'{"type":"alert","action":"updated","attributes":{"uuid":"u2","title":"\\u00e9\\ud83d\\ude00\\/ \xc3\xa9"}}',
    b'{"type":"case","type":"alert","action":"updated","attributes":{"uuid":"u3","n":1,"n":1.0}}',
    b'{"type":"alert","action":"updated","attributes":{"uuid":"u4","n":1e2,"big":123456789012345678901234567890}}',
    b'{"type":"thing","action":"done","attributes":{}}',
]


def event(number: int, raw: bytes) -> EnrichedEvent:
    made = site.event(f"e{number}")
    enrichment = Enrichment(status="not_applicable")
    return made.model_copy(update={"event": decode_webhook(raw)[0], "enrichment": enrichment})


async def posted(kafka: KafkaSettings, events: list[EnrichedEvent]) -> None:
    """Write the bodies as ingest does, among others, then the records as the stream does."""
    async with AIOKafkaProducer(**kafka.client_options()) as producer:
        for one, raw in zip(events, ODD, strict=True):
            key, at = entity_key(orjson.loads(raw), one.event_id), one.received_at
            for name, value in ((one.event_id, raw), (one.event_id, raw + b" "), ("other", b"{}")):
                headers = RawHeaders(name, "uuid", "d", at).to_kafka()
                await producer.send_and_wait(Topics(kafka.topic_prefix).raw, value, key=key, headers=headers)
    older = site.event("older", alert="u1")
    older = older.model_copy(update={"received_at": older.received_at - timedelta(days=20)})
    topic = Topics(kafka.topic_prefix).enriched
    async with AIOKafkaProducer(**kafka.client_options()) as producer:
        for one in [*events, older]:
            key = one.event.attributes.get("uuid", one.event_id).encode()
            await producer.send_and_wait(topic, encode(one), key=key)


def test_the_bytes_are_those_that_were_posted_and_old_ones_say_they_are_not(kafka_settings, monkeypatch):
    monkeypatch.setenv("SINKS_ALLOW_NETWORKS", "127.0.0.1/32")
    got: dict[str, tuple[bytes, bytes]] = {}

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readline():
            assert head.startswith(b"POST / ")
            headers = {}
            while (line := await reader.readline()) != b"\r\n":
                name, _, value = line.lower().strip().partition(b": ")
                headers[name] = value
            body = await reader.readexactly(int(headers[b"content-length"]))
            got[headers[b"webhook-id"].decode()] = body, headers[b"tocsin-body"]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def scenario() -> dict[str, str]:
        events = [event(number, raw) for number, raw in enumerate(ODD)]
        await posted(kafka_settings, events)
        async with await asyncio.start_server(receive, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            text = f"targets:\n  {site.NAME}: {{type: webhook, url: '{url}', body: verbatim}}\n"
            rules = rules_file.parse(text + "rules: [{name: r, match: all, notify: soc}]\n", "x", {})
            run = TargetRun(kafka_settings, rules, rules.targets[site.NAME], "earliest")
            task = asyncio.create_task(run.run())
            async with asyncio.timeout(30):
                while len(got) < len(ODD) + 1:
                    await asyncio.sleep(0.05)
            run.stop()
            await task
        return {one.event_id: one.status for one in await site.receipts(kafka_settings)}

    statuses = asyncio.run(scenario())
    found = {name: body for name, (body, said) in got.items() if said == b"verbatim"}
    assert found == {f"e{number}_0": raw for number, raw in enumerate(ODD)}
    assert got["older_0"][1] == b"rebuilt"
    assert orjson.loads(got["older_0"][0])["attributes"] == {"uuid": "u1"}
    assert statuses["older"] == "HTTP 200, body rebuilt"
    assert statuses["e1"] == "HTTP 200"
