"""`tocsin query` on real Kafka: what is archived and what is not yet, each record once."""

import asyncio
import csv
import importlib.util
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from events.codec import encode
from events.errors import NotReady
from events.records import EnrichedEvent, Enrichment, Receipt, WebhookEvent
from ops.cli import app
from ops.questions import titles

pytestmark = pytest.mark.kafka

_path = Path(__file__).parents[1] / "sinks" / "archive" / "processes.py"
_spec = importlib.util.spec_from_file_location("archive_processes", _path)
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)

HOSTILE = '=cmd|"/c calc"!A0\x1b[2J\u202e'


@pytest.fixture
def site(kafka_settings, tmp_path):
    """Return the site, and end its processes."""
    site = processes.Site(kafka_settings, tmp_path)
    yield site
    site.kill_all()


def tocsin(site, *argv: str, **settings: str):
    """Run the verb in this process: a new one takes seconds to load."""
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": site.kafka.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": site.kafka.topic_prefix,
        "ARCHIVE_URL": site.root.as_uri(),
    }
    return CliRunner().invoke(app, ["query", *argv], env=env | settings, catch_exceptions=False)


def alert(number: int, *, revision: int = 0, status: str = "Pending", title: str = "t", **more: object) -> bytes:
    uid = f"alert-{number}"
    return encode(
        EnrichedEvent(
            event_id=f"e{number}-{status}",
            revision=revision,
            received_at=datetime.now(UTC) - timedelta(hours=number),
            hook="h",
            event=WebhookEvent(type="alert", action="created", attributes={"uuid": uid, "short_id": f"AL{number}"}),
            alert={"title": title, "status": {"name": status}, "urgency": {"current_value": 10 * number}},
            enrichment=Enrichment(status="complete"),
            **more,
        )
    )


async def receipt(site, number: int, outcome: str, partition: int = 1) -> None:
    async with AIOKafkaProducer(**site.kafka.client_options()) as producer:
        made = Receipt(
            event_id=f"e{number}-Pending", alert=f"alert-{number}", target="soc", outcome=outcome, latency=1.5
        )
        await producer.send_and_wait(site.topics.deliveries, encode(made), partition=partition)


async def half_archived(site) -> None:
    """Archive alerts 1 to 4; 5 to 7, and what follows on 1, come afterwards and are only in Kafka."""
    await site.publish(*(alert(number) for number in (1, 2)), partition=0)
    await site.publish(*(alert(number) for number in (3, 4)), processes.BAD, partition=1)
    process = site.start()
    await site.until_archived()
    site.stop(process)
    await site.publish(alert(1, status="Closed", title="title of the last word"), partition=0)
    await site.publish(alert(9), partition=0, abort=True)
    await site.publish(alert(5, title=HOSTILE), alert(6), processes.BAD, alert(7), partition=3)
    await receipt(site, 1, "delivered")
    await receipt(site, 2, "muted")


def test_archive_and_kafka_are_one(site):
    asyncio.run(half_archived(site))
    done = tocsin(
        site,
        "SELECT alert_uuid, status, title, events FROM alerts WHERE alert_uuid < 'alert-5' ORDER BY 1",
        "--format",
        "json",
    )
    assert [list(row.values()) for row in json.loads(done.stdout)] == [
        ["alert-1", "Closed", "title of the last word", 2],
        ["alert-2", "Pending", "t", 1],
        ["alert-3", "Pending", "t", 1],
        ["alert-4", "Pending", "t", 1],
    ]
    assert "1 records of" in done.stderr
    every = "SELECT kafka_partition, kafka_offset, count(*) c FROM events GROUP BY ALL"
    assert {row["c"] for row in json.loads(tocsin(site, every, "--format", "json").stdout)} == {1}
    count = "SELECT count(*) AS c FROM events"
    assert json.loads(tocsin(site, count, "--format", "json").stdout) == [{"c": 8}]
    assert json.loads(tocsin(site, count, "--format", "json", "--archive-only").stdout) == [{"c": 4}]
    away = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    assert json.loads(tocsin(site, count, "--format", "json", "--archive-only", **away).stdout) == [{"c": 4}]
    with pytest.raises(NotReady, match="Kafka does not answer"):
        tocsin(site, count, **away)
    since = ["--since", "150m", "--until", "30m"]
    assert json.loads(tocsin(site, count, "--format", "json", *since).stdout) == [{"c": 3}]


def test_hostile_text_stays_text(site):
    asyncio.run(half_archived(site))
    sql = "SELECT title, urgency FROM alerts WHERE alert_uuid = 'alert-5'"
    for format_ in ("table", "csv", "json"):
        assert tocsin(site, sql, "--format", format_).stdout.replace("\n", "").isprintable()
    assert json.loads(tocsin(site, sql, "--format", "json").stdout)[0]["title"] == HOSTILE
    [_, cells] = csv.reader(io.StringIO(tocsin(site, sql, "--format", "csv").stdout))
    assert cells == ["'" + HOSTILE.replace("\x1b", "\\u001b").replace("\u202e", "\\u202e"), "50"]


def test_every_question_with_a_name_has_an_answer(site, monkeypatch):
    asyncio.run(half_archived(site))
    listed = tocsin(site, "--list").stdout
    assert len(titles()) >= 12
    assert all(name in listed and title in listed for name, title in titles().items())
    answers = {name: json.loads(tocsin(site, name, "--format", "json").stdout) for name in titles()}
    assert [row["alert_uuid"] for row in answers["never-delivered"]] == [f"alert-{n}" for n in (7, 6, 5, 4, 3, 2)]
    assert answers["delivery-times"] == [
        {"target": "soc", "deliveries": 1, "p50": 1.5, "p95": 1.5, "p99": 1.5, "slowest": 1.5}
    ]
    assert {row["outcome"] for row in answers["outcomes"]} == {"delivered", "muted"}
    assert sum(row["alerts"] for row in answers["noisiest-rules"]) == 7
    assert "alert-1" not in {row["alert_uuid"] for row in answers["open-alerts"]}
    assert answers["retried-deliveries"] == answers["told-twice"] == []


def test_nothing_at_all_is_no_rows(site):
    assert json.loads(tocsin(site, "SELECT * FROM alerts", "--format", "json").stdout) == []
