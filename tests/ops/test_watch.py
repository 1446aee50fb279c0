"""The watch as a whole: what it does where a look, its disk or its own pages are not as they should be."""

import asyncio
import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from events.settings import KafkaSettings
from events.topics import contract
from ops import watch_kafka
from ops.canary_record import Record
from ops.watch import Watch
from ops.watch_kafka import KafkaSaid
from ops.watch_settings import WatchSettings
from ops.watch_store import Memory
from sandbox import plan
from sinks import rules_file
from sinks.responses import Answer

RULES = """\
targets:
  ops-chat: {type: mattermost, url: "http://127.0.0.1:9/hooks/a"}
  soc: {type: teams, url: "http://127.0.0.1:9/soc", canary: {proof: human}}
rules: [{name: all, match: {type: alert}, notify: soc}]
unmatched: drop
operators: [ops-chat]
"""
FULL = Path("/dev/full")
KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:1", _env_file=None)


def make(folder, **more):
    settings = WatchSettings(rooms="", patience=0, data=folder, disk_free=0, _env_file=None, **more)
    return Watch(settings, KAFKA, rules_file.parse(RULES, "tocsin.yml", {}), Memory())


@pytest.fixture
def watch(tmp_path, monkeypatch, asked):
    """A watch without rooms whose Kafka is away, and that waits for nothing."""

    async def away(*_):
        return None

    monkeypatch.setattr(watch_kafka, "look", away)
    asked.answers = [Answer(200, {})]
    return make(tmp_path)


def looks(watch, times):
    async def run():
        async with watch:
            for _ in range(times):
                await watch.once()
                await watch._canaries.send_due()

    asyncio.run(run())


def test_a_target_that_came_by_a_reload_can_be_confirmed(tmp_path):
    port = plan.Ports.free().watch_admin
    watch = make(tmp_path, canary_url="https://soc.example.org", canary_port=port)
    Record().sent(time.time(), "c0de").save(tmp_path / "watch" / "canaries", "new")

    async def run():
        async with watch, httpx.AsyncClient(trust_env=False, timeout=30) as http:
            address = f"http://127.0.0.1:{port}/new/c0de"
            before = (await http.get(address)).status_code
            watch.rules.adopt(rules_file.parse(RULES.replace("soc", "new"), "tocsin.yml", {}))
            return before, (await http.post(address)).status_code

    assert asyncio.run(run()) == (404, 200)


@pytest.mark.parametrize(
    ("wrong", "carries", "status", "beats"),
    [
        ("soc", True, 200, ["/beat"]),  # told, and not to whom it is about
        ("ops-chat", True, 200, []),  # nobody else is told, and this one may show nothing
        ("soc", False, 200, ["/beat"]),  # told past Kafka, where only its record is missing
        ("soc", False, 503, []),  # waits to be told
        ("soc", False, 400, []),  # nobody was told: the only one who could be refused it
    ],
)
def test_the_heart_beats_when_what_is_wrong_is_told(tmp_path, monkeypatch, asked, wrong, carries, status, beats):
    async def kafka(*_):
        return KafkaSaid(None, ()) if carries else None

    async def written(*_):
        return True

    monkeypatch.setattr(watch_kafka, "look", kafka)
    monkeypatch.setattr("ops.watch_tell.Teller._write", written)
    asked.answers = [Answer(status, {})]
    watch = make(tmp_path, heartbeat_url="http://127.0.0.1:9/beat")
    watch._canaries.missed = lambda: {wrong: "It was not accepted"}
    looks(watch, 2)
    assert f"canary_missed/{wrong}" in watch.memory.raised
    assert [request.path for request in asked.requests if request.path == "/beat"] == beats


def test_missing_topics_end_nothing_and_are_told_past_kafka(watch, monkeypatch, asked):
    async def lost(*_):
        return KafkaSaid(None, None, [each.name for each in contract(KAFKA)])

    monkeypatch.setattr(watch_kafka, "look", lost)
    looks(watch, 2)
    (change,) = watch.memory.untold
    assert (change.key, change.told) == ("topics_missing", ["ops-chat"])
    assert "tocsin.raw.v1" in change.detail
    assert b"tocsintopicsmissing" in asked.requests[0].body


@pytest.fixture
def full(monkeypatch):
    """A disk that takes no byte, as long as it holds something."""
    holds = ["much"]
    replace = os.replace

    def no_room(source, target, **more):
        if holds:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(source, target, **more)

    monkeypatch.setattr(os, "replace", no_room)
    return holds


def test_a_full_disk_ends_nothing_and_nothing_is_told_or_sent_twice(watch, tmp_path, asked, full):
    looks(watch, 3)
    assert [request.path for request in asked.requests] == ["/hooks/a", "/soc"]
    assert watch.memory.untold[0].told == ["ops-chat"]
    full.clear()
    looks(watch, 1)
    assert len(asked.requests) == 2
    assert Memory.load(tmp_path / "watch").encoded() == watch.memory.encoded()
    assert Record.load(tmp_path / "watch" / "canaries", "soc").sent_at


@pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")
def test_a_log_that_cannot_be_written_ends_nothing():
    code = (
        "from ops import logs; import structlog; logs.configure(); structlog.get_logger().info('x' * 20_000); print(7)"
    )
    with FULL.open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, check=False)
    assert done.stdout == b"7\n"
