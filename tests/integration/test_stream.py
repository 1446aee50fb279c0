"""The stream on real Kafka, as its own process: bad input is buried, nothing is lost, nothing is doubled."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from events.codec import decode_enriched
from events.headers import as_text
from events.settings import KafkaSettings
from events.topics import Topics
from sandbox.bodies import body
from sandbox.chaos_feed import Delivery, delivered
from sandbox.plan import bare_environment

pytestmark = pytest.mark.kafka

COMMUNITY = "5b1f6f0a-93d4-4c0e-8d52-1f0a7c3e9b24"
PATIENCE = 90.0
"""Seconds; two cores may be shared by many."""


class Api:
    """A list endpoint that knows every alert, except while it shows none, or is away: then it answers `status`."""

    def __init__(self) -> None:
        self.away = self.empty = False
        self.status = 500
        self.extra: dict[str, str] = {}
        self.calls = 0
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                api.calls += 1
                query = parse_qs(urlsplit(self.path).query)
                uuids = [each for each in query.get("match[uuid]", [""])[0].split(",") if each]
                items = [{"uuid": each, "short_id": f"AL{each[:4]}", "title": "Seen"} | api.extra for each in uuids]
                items = [] if api.empty else items
                content = orjson.dumps({"items": items, "name": "Acme"})
                self.send_response(api.status if api.away else 200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    thread = threading.Thread(target=api.server.serve_forever)
    thread.start()
    yield api
    api.server.shutdown()
    thread.join()
    api.server.server_close()


def command(kafka: KafkaSettings, api: Api, log, port: int) -> subprocess.Popen[bytes]:
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "KAFKA_PARTITIONS": str(kafka.partitions),
        "SEKOIA_API_BASE": api.base,
        "SEKOIA_API_KEY": "key",
        "STREAM_ADMIN_PORT": str(port),
    }
    environment = bare_environment() | settings
    return subprocess.Popen([sys.executable, "-P", "-m", "ops", "stream"], stdout=log, stderr=log, env=environment)


@contextlib.contextmanager
def running(kafka: KafkaSettings, api: Api, log, *, end: int = signal.SIGTERM) -> Iterator[str]:
    """Run `tocsin stream` until it is ready, and end it with a signal; it must not end by itself before."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with log.open("ab") as file:
        process = command(kafka, api, file, port)
        try:
            admin = f"http://127.0.0.1:{port}"
            wait_for(lambda: ready(admin) or process.poll() is not None)
            yield admin
            assert process.poll() is None, log.read_text()
            process.send_signal(end)
            code = process.wait(PATIENCE)
            assert code == (-signal.SIGKILL if end == signal.SIGKILL else 0), log.read_text()
        finally:
            process.kill()
            process.wait()


def ready(admin: str) -> bool:
    try:
        return httpx.get(f"{admin}/healthz", trust_env=False, timeout=5.0).is_success
    except httpx.TransportError:
        return False


def wait_for(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.2)


def send(kafka: KafkaSettings, *deliveries: Delivery) -> None:
    async def sending() -> None:
        async with AIOKafkaProducer(**kafka.client_options()) as producer:
            for each in deliveries:
                await producer.send_and_wait(
                    Topics(kafka.topic_prefix).raw, each.value, each.key, headers=list(each.headers)
                )

    asyncio.run(sending())


def read(kafka: KafkaSettings, topic: str):
    """Return the committed records of a topic, by partition and offset."""

    async def reading():
        options = {"isolation_level": "read_committed", "auto_offset_reset": "earliest"}
        async with AIOKafkaConsumer(**kafka.client_options(), **options) as consumer:
            partitions = [TopicPartition(topic, number) for number in range(kafka.partitions)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            found = []
            while any([await consumer.position(each) < end for each, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
            return sorted(found, key=lambda record: (record.partition, record.offset))

    return asyncio.run(reading())


def enriched(kafka: KafkaSettings):
    return [decode_enriched(record.value) for record in read(kafka, Topics(kafka.topic_prefix).enriched)]


def letters(kafka: KafkaSettings):
    return read(kafka, Topics(kafka.topic_prefix).dead_letters)


def alert_event(action: str = "created") -> Delivery:
    ids = {"uuid": str(uuid.uuid4()), "short_id": "ALq7Zt3Kx9Pd"}
    at = time.time_ns() // 1000
    return delivered(orjson.dumps(body("alert", action, ids, at=at, community=COMMUNITY)))


def test_bad_records_are_buried_with_reason_and_origin_and_good_ones_go_on(kafka3_settings, api, tmp_path):
    bad = {
        b"tombstone": None,
        b"bytes": b"\xff\xfe not text",
        b"list": b"[1, 2]",
        b"types": b'{"type": 7, "action": ["created"]}',
        b"large": b'{"type":"alert","action":"created","attributes":{"x":"%s"}}' % (b"x" * 400_000),
    }
    good = [alert_event() for _ in range(8)]
    send(kafka3_settings, *good[:4], *(Delivery(value, key) for key, value in bad.items()), *good[4:])
    with running(kafka3_settings, api, tmp_path / "log"):
        wait_for(lambda: len(enriched(kafka3_settings)) == 8)
        wait_for(lambda: len(letters(kafka3_settings)) == len(bad))
    assert {event.alert["title"] for event in enriched(kafka3_settings)} == {"Seen"}
    raw = {(r.partition, r.offset): r for r in read(kafka3_settings, Topics(kafka3_settings.topic_prefix).raw)}
    for letter in letters(kafka3_settings):
        headers = as_text(letter.headers)
        source = raw[int(headers["source-partition"]), int(headers["source-offset"])]
        assert (source.key, source.value) == (letter.key, letter.value)
        assert bad[letter.key] == letter.value
        assert headers["stage"] == "stream"
        assert headers["source-topic"] == Topics(kafka3_settings.topic_prefix).raw
        assert headers["reason"]


def test_a_restart_knows_what_was_there_before_it(kafka3_settings, api, tmp_path):
    events = [alert_event() for _ in range(20)]
    send(kafka3_settings, *events, Delivery(b"broken", b"k"))
    with running(kafka3_settings, api, tmp_path / "log", end=signal.SIGKILL):
        wait_for(lambda: len(enriched(kafka3_settings)) == 20)
    send(kafka3_settings, *events, alert_event())
    with running(kafka3_settings, api, tmp_path / "log"):
        wait_for(lambda: len(enriched(kafka3_settings)) >= 21)
    ids = [event.event_id for event in enriched(kafka3_settings)]
    assert len(ids) == len(set(ids)) == 21
    assert len(letters(kafka3_settings)) == 1


def test_a_pending_event_is_completed_once_although_the_worker_was_killed_in_between(kafka3_settings, api, tmp_path):
    api.empty = True
    send(kafka3_settings, *(alert_event() for _ in range(5)))
    with running(kafka3_settings, api, tmp_path / "log", end=signal.SIGKILL):
        wait_for(lambda: len(enriched(kafka3_settings)) == 5)
    assert {event.enrichment.status for event in enriched(kafka3_settings)} == {"pending"}
    api.empty = False
    with running(kafka3_settings, api, tmp_path / "log"):
        wait_for(lambda: len(enriched(kafka3_settings)) == 10)
    with running(kafka3_settings, api, tmp_path / "log"):
        time.sleep(2.0)
    found = enriched(kafka3_settings)
    assert sorted(event.revision for event in found) == [0] * 5 + [1] * 5
    assert {event.alert["title"] for event in found if event.revision == 1} == {"Seen"}


def test_an_alert_that_no_record_can_hold_leaves_its_large_fields_behind(kafka3_settings, api, tmp_path):
    api.extra = {"details": "x" * 3_000_000, "countermeasures": "y" * 100}
    send(kafka3_settings, alert_event(), alert_event())
    with running(kafka3_settings, api, tmp_path / "log"):
        wait_for(lambda: len(enriched(kafka3_settings)) == 2)
    found = enriched(kafka3_settings)
    assert {(event.enrichment.status, event.enrichment.reason) for event in found} == {("complete", "oversize")}
    assert all(event.alert["title"] == "Seen" and "details" not in event.alert for event in found)
    assert letters(kafka3_settings) == []


def test_its_health_tells_of_a_refused_key_and_of_what_it_can_do(kafka3_settings, api, tmp_path):
    with running(kafka3_settings, api, tmp_path / "log") as admin:
        health = httpx.get(f"{admin}/healthz", trust_env=False).json()
        assert health["alert_api"] == "ok"
        assert health["alerts_per_second"] == 400, "four calls of a hundred alerts"
        assert health["oldest_unacknowledged_seconds"] == 0
    api.away, api.status = True, 401
    with running(kafka3_settings, api, tmp_path / "log") as admin:
        send(kafka3_settings, alert_event())
        wait_for(lambda: len(enriched(kafka3_settings)) == 1)
        health = httpx.get(f"{admin}/healthz", trust_env=False).json()
        assert "401: the API key is refused" in health["alert_api"]
        asked = api.calls
        send(kafka3_settings, alert_event())
        wait_for(lambda: len(enriched(kafka3_settings)) == 2)
        assert api.calls == asked, "a refused key is not tried again at once"
        metrics = httpx.get(f"{admin}/metrics", trust_env=False).text
    assert {event.enrichment.status for event in enriched(kafka3_settings)} == {"pending"}
    assert 'outcome="refused"} 1.0' in metrics
    assert "api_key_refused" in (tmp_path / "log").read_text()


def test_it_refuses_to_start_on_topics_of_different_size(kafka3_settings, api, tmp_path):
    async def grow() -> None:
        admin = AIOKafkaAdminClient(**kafka3_settings.client_options())
        await admin.start()
        await admin.create_partitions({Topics(kafka3_settings.topic_prefix).raw: NewPartitions(5)})
        await admin.close()

    asyncio.run(grow())
    with (tmp_path / "log").open("wb") as file:
        process = command(kafka3_settings, api, file, 0)
        assert process.wait(PATIENCE) == 2
    said = (tmp_path / "log").read_text().strip()
    assert f"{kafka3_settings.topic_prefix}raw.v1 has 5 partitions" in said
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1, said
