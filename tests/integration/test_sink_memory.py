"""What a target remembers on real Kafka, its process killed with kill -9 while it tells, keeps quiet and counts."""

import asyncio
import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from fastapi import FastAPI, Request

from events.records import EnrichedEvent, Enrichment, WebhookEvent
from events.settings import KafkaSettings
from sandbox.serving import serving
from sinks import rules_file
from sinks.memory import Memory
from sinks.positions import Positions
from sinks.rules import Rule, Rules
from sinks.target import TargetRun

_spec = importlib.util.spec_from_file_location("sink_runner_site", Path(__file__).with_name("test_sink_runner.py"))
assert _spec
assert _spec.loader
site = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(site)

pytestmark = pytest.mark.kafka
script = site.script

ROOT = Path(__file__).parents[2]
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
RULES = """\
targets:
  waits: {{type: webhook, url: "{base}/waits", start: earliest}}
  counts: {{type: webhook, url: "{base}/counts", start: earliest}}
  rests: {{type: webhook, url: "{base}/rests", start: earliest}}
  hears-all: {{type: webhook, url: "{base}/hears-all", start: earliest}}
rules:
  - {{name: dropped, match: {{similar: "= 13"}}, notify: [], stop: true}}
  - {{name: waits, match: all, notify: waits, min_interval: 3m}}
  - {{name: counts, match: {{recurrence: [10, 100]}}, notify: counts}}
  - {{name: rests, match: all, notify: rests, mute: {{from: "{from_}", until: "{until}"}}}}
  - {{name: all, match: all, notify: hears-all}}
"""


def event(number: int, alert: str, similar: int) -> EnrichedEvent:
    attributes = {"uuid": alert, "updated": {"similar": similar}, "urgency_current_value": 20}
    return EnrichedEvent(
        event_id=f"{alert}-{number}",
        received_at=START + timedelta(minutes=number),
        event=WebhookEvent(type="alert", action="updated", attributes=attributes),
        alert={"uuid": alert},
        enrichment=Enrichment(status="complete"),
    )


EVENTS = [
    event(n, alert, count) for n, count in enumerate([1, 9, 11, 12, 13, 98, 99, 150, 151]) for alert in ("a", "b")
]


class Receiver:
    """Four webhooks; at the chosen post of the chosen one the sink is killed before it has its answer."""

    def __init__(self) -> None:
        self.got: dict[str, list[str]] = {}
        self.kill_at: tuple[str, int] | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.app = FastAPI()
        self.app.add_api_route("/{name}", self.take, methods=["POST"])

    async def take(self, name: str, request: Request) -> dict[str, bool]:
        self.got.setdefault(name, []).append((await request.json())["data"]["event_id"])
        if self.kill_at == (name, len(self.got[name])) and self.process:
            self.process.kill()
            self.kill_at = None
            await asyncio.sleep(5)
        return {"ok": True}


@contextlib.contextmanager
def sinks(kafka: KafkaSettings, receiver: Receiver, file: Path) -> Iterator[subprocess.Popen[bytes]]:
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "TOCSIN_RULES": str(file),
        "SINKS_ADMIN_PORT": "0",
        "PYTHONPATH": str(ROOT),
    }
    with file.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "ops", "sink"], env=os.environ | env, stdout=log, stderr=log)
    receiver.process = process
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def expected(rules: Rules, target: str) -> tuple[list[str], set[str]]:
    """Return what a target is told and what is muted when nobody is killed."""
    memory, told, muted = Memory(), [], set()
    for one in EVENTS:
        key = one.event.attributes["uuid"].encode()
        decision = rules.decide(one, target, memory.of(key))
        if decision.notify:
            told.append(one.event_id)
            memory.tell(key, decision.rules, one.received_at, one.event.attributes["updated"]["similar"])
        elif decision.muted:
            muted.add(one.event_id)
    return told, muted


def test_a_kill_in_each_forgets_nothing_and_repeats_only_what_was_in_flight(kafka_settings, tmp_path):
    receiver = Receiver()
    kills = {"waits": EVENTS[:6], "hears-all": EVENTS[6:10], "rests": EVENTS[10:14], "counts": EVENTS[14:]}

    async def scenario() -> list:
        async with serving(receiver.app) as base:
            times = {"from_": EVENTS[4].received_at.isoformat(), "until": EVENTS[10].received_at.isoformat()}
            file = tmp_path / "tocsin.yml"
            file.write_text(RULES.format(base=base, **times))
            for target, events in kills.items():
                await site.publish(kafka_settings, *([one] for one in events))
                receiver.kill_at = target, len(receiver.got.get(target, ())) + 1
                with sinks(kafka_settings, receiver, file) as process:
                    await asyncio.wait_for(asyncio.to_thread(process.wait), 90)
            rules = rules_file.read(file, {})
            wanted = {name: expected(rules, name) for name in rules.targets}
            total = sum(len(told) + len(muted) for told, muted in wanted.values())
            with sinks(kafka_settings, receiver, file):
                async with asyncio.timeout(60):
                    while len(receipts := await site.receipts(kafka_settings)) < total:
                        await asyncio.sleep(0.5)
                await asyncio.sleep(1)  # whatever else it might say
            receipts = await site.receipts(kafka_settings)
        for target, (told, muted) in wanted.items():
            got = receiver.got[target]
            for alert in ("a", "b"):
                assert _once([one for one in got if one[0] == alert]) == [one for one in told if one[0] == alert]
            assert len(got) - len(told) <= 2 * len(kills)  # of each alert one may have been on its way
            mine = [one for one in receipts if one.target == target]
            assert sorted(one.event_id for one in mine if one.outcome == "muted") == sorted(muted)
            assert sorted(one.event_id for one in mine if one.outcome == "delivered") == sorted(told)
        return receipts

    asyncio.run(scenario())


def _once(told: list[str]) -> list[str]:
    """Drop what comes twice in a row: it was in flight."""
    return told[:1] + [later for earlier, later in pairwise(told) if later != earlier]


@pytest.mark.parametrize(
    ("settings", "outcomes"),
    [
        ({"min_interval": "10m"}, ["delivered", "muted", "muted", "muted"]),
        ({"match": {"recurrence": 10}}, [None, None, "delivered", None]),
        ({"mute": {"until": (START + timedelta(minutes=2)).isoformat()}}, ["muted", "muted", "delivered", "delivered"]),
    ],
    ids=["min_interval", "recurrence", "mute"],
)
def test_a_death_between_receipt_and_commit(kafka_settings, script, monkeypatch, settings, outcomes):
    """The receipt alone decides: nothing is told, nor kept quiet, a second time."""

    class Killed(BaseException):
        pass

    async def die(*_args, **_options) -> bool:
        raise Killed

    rule = Rule.model_validate({"name": "r", "match": "all", "notify": site.NAME, **settings})
    use = Rules([rule], {site.NAME: site.target()}, "v1")
    wanted = {f"a-{n}": outcome for n, outcome in enumerate(outcomes) if outcome}

    async def scenario() -> None:
        await site.publish(kafka_settings, [event(n, "a", count) for n, count in enumerate([1, 9, 11, 12])])
        commit = Positions.commit
        monkeypatch.setattr(Positions, "commit", die)
        with pytest.raises(Killed):
            await TargetRun(kafka_settings, use, site.target(), "earliest").run()
        monkeypatch.setattr(Positions, "commit", commit)
        async with site.running(kafka_settings, use=use):
            await site.until_no_lag(kafka_settings)
        written = await site.receipts(kafka_settings)
        assert {one.event_id: one.outcome for one in written} == wanted
        assert len(written) == len(wanted)
        assert script.sent == [name for name, outcome in wanted.items() if outcome == "delivered"]

    asyncio.run(scenario())


def test_what_waits_in_an_open_digest_outlives_the_process(kafka_settings, script):
    def use(**digest: str) -> Rules:
        rule = Rule.model_validate({"name": "r", "match": "all", "notify": site.NAME, **digest})
        return Rules([rule], {site.NAME: site.target()}, "v1")

    async def scenario() -> None:
        now = {"received_at": datetime.now(UTC)}
        await site.publish(kafka_settings, [event(n, f"a{n}", 1).model_copy(update=now) for n in range(5)])
        run = TargetRun(kafka_settings, use(digest="1h"), site.target(), "earliest")
        killed = asyncio.create_task(run.run())
        await asyncio.wait([killed], timeout=6)
        assert run.assigned
        killed.cancel()
        await asyncio.wait([killed])
        assert script.sent == []
        assert await site.receipts(kafka_settings) == []
        async with site.running(kafka_settings, use=use()):
            await site.until_no_lag(kafka_settings, 40)
        written = await site.receipts(kafka_settings)
        assert sorted(one.event_id for one in written) == [f"a{n}-{n}" for n in range(5)]
        assert {one.outcome for one in written} == {"delivered"}
        assert sorted(script.sent) == [f"a{n}-{n}" for n in range(5)]

    asyncio.run(scenario())
