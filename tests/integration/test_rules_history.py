"""`tocsin rules explain` and `try` on real Kafka."""

import asyncio
import signal
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaProducer

from events.codec import encode
from events.errors import NotReady
from events.headers import enriched_headers
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from events.settings import KafkaSettings
from events.topics import Topics
from ops import history, rules_history

pytestmark = pytest.mark.kafka

OLD = """\
targets: {screen: {type: log}, other: {type: log}}
rules:
  - {name: alerts, match: {type: alert}, notify: screen}
  - {name: cases, match: {type: case}, notify: other}
unmatched: drop
"""
NEW = OLD.replace("type: case", "type: case, action: deleted")


def event(event_id: str, kind: str) -> EnrichedEvent:
    return EnrichedEvent(
        event_id=event_id,
        received_at=datetime.now(UTC),
        event=WebhookEvent(type=kind, action="created", attributes={"uuid": event_id, "title": f"title of {event_id}"}),
        enrichment=Enrichment(status="not_applicable"),
    )


async def publish(kafka: KafkaSettings, events: list[EnrichedEvent]) -> None:
    topic = Topics(kafka.topic_prefix).enriched
    options = {**kafka.client_options(), "transactional_id": uuid.uuid4().hex}
    async with AIOKafkaProducer(**options) as producer, producer.transaction():
        for one in events:
            await producer.send_and_wait(topic, encode(one), key=one.event_id.encode(), headers=enriched_headers(one))
    wanted = {one.event_id.encode() for one in events}
    async with asyncio.timeout(20):
        # A commit has returned before its markers are written; only then may the records be read.
        while not wanted <= {record.key async for record in history.enriched(kafka, timedelta(days=1))}:
            await asyncio.sleep(0.1)


@pytest.fixture
def files(kafka_settings, monkeypatch, tmp_path):
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_settings.bootstrap_servers)
    monkeypatch.setenv("KAFKA_TOPIC_PREFIX", kafka_settings.topic_prefix)
    (tmp_path / "old.yml").write_text(OLD)
    (tmp_path / "new.yml").write_text(NEW)
    return tmp_path


def test_an_event_is_found_and_explained(kafka_settings, files, capsys):
    asyncio.run(publish(kafka_settings, [event("e1", "alert"), event("e2", "case")]))
    rules_history.explain(files / "new.yml", "e2", "24h")
    said = capsys.readouterr().out
    assert "title of e2, revision 0, not_applicable" in said
    assert "no   alerts: type: alert (no)" in said
    assert "no   cases: action: deleted (no)" in said
    assert "tells: nobody" in said
    with pytest.raises(NotReady, match="No event nowhere in the enriched topic within 24h"):
        rules_history.explain(files / "new.yml", "nowhere", "24h")


def test_a_changed_file_is_tried_without_sending(kafka_settings, files, capsys):
    asyncio.run(publish(kafka_settings, [event(f"a{n}", "alert") for n in range(30)]))
    asyncio.run(publish(kafka_settings, [event(f"c{n}", "case") for n in range(7)]))
    rules_history.try_history(files / "new.yml", files / "old.yml", "24h")
    said = capsys.readouterr().out
    assert "37 records of the last 24h; nothing was sent" in said
    assert "rule    alerts: 30" in said
    assert "rule    cases: 0" in said
    assert "target  screen: 30" in said
    assert "newly nobody: 7" in said
    assert said.count("title of c") == rules_history.SHOWN


def test_ctrl_c_ends_it_with_what_was_counted(kafka_settings, files, capsys, monkeypatch):
    asyncio.run(publish(kafka_settings, [event("a", "alert"), event("b", "alert")]))
    add = rules_history.Trial.add

    def interrupted(trial: rules_history.Trial, one: EnrichedEvent, key: bytes | None) -> None:
        add(trial, one, key)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(rules_history.Trial, "add", interrupted)
    with pytest.raises(SystemExit) as ended:
        rules_history.try_history(files / "new.yml", None, "24h")
    assert ended.value.code == rules_history.INTERRUPTED
    assert "stopped before the end" in capsys.readouterr().out


def test_no_topic_is_one_sentence(kafka_settings, files, monkeypatch):
    monkeypatch.setenv("KAFKA_TOPIC_PREFIX", "nothing-here.")
    with pytest.raises(NotReady, match="does not exist; run `tocsin topics create`"):
        rules_history.try_history(files / "new.yml", None, "24h")


def test_lengths_of_time():
    assert history.since(" 7D ") == timedelta(days=7)
    with pytest.raises(NotReady, match="write 30m, 24h or 7d"):
        history.since("yesterday")
