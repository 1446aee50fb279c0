"""The faults a drill makes on purpose, each undone when its block ends: what really breaks, never a metric that is set."""

import asyncio
import base64
import os
import sys
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from events.topics import Topics
from sandbox.drill_rooms import (
    Fault,
    frozen,
    kafka_down,
    kafka_hangs,
    kafka_readonly,
    restarting,
    topics_missing,
    webhooks_refused,
)
from sandbox.drill_site import Site
from sandbox.supervisor import PERSON_CAN_FIX

MANY = 10_000
QUIET = 5.0
"""Seconds without a webhook, a little more than the drill's SILENCE_AFTER."""


@dataclass(frozen=True)
class Drill:
    """A fault by its name, and the condition the operators must hear of."""

    name: str
    key: str
    what: str
    fault: Fault
    aside: bool = False
    """Whether it may go on beside others, for it breaks nothing they need."""


@asynccontextmanager
async def _target_unavailable(site: Site) -> AsyncIterator[None]:
    site.teams.answer_with(503, times=MANY)
    await site.post_alert()
    yield
    site.teams.faults.clear()


@asynccontextmanager
async def _target_gone(site: Site) -> AsyncIterator[None]:
    site.teams.answer_with(410)
    await site.post_alert()
    yield
    before = site.supervisor.restarts("sink")
    site.supervisor.kill("sink")  # a paused target is started anew, with another address where it was really gone
    await site.back("sink", before)


@asynccontextmanager
async def _dead_letter(site: Site) -> AsyncIterator[None]:
    """Write what is no webhook to the raw topic, as nobody but us should: the stream buries it."""
    while not await _written(site, b"\xff not a webhook"):
        await asyncio.sleep(0.5)  # another drill has its hands on the broker
    yield


async def _written(site: Site, value: bytes) -> bool:
    producer = AIOKafkaProducer(**site.kafka.client_options())
    try:
        await producer.start()
        await producer.send_and_wait(Topics(site.kafka.topic_prefix).raw, value, key=b"drill")
    except KafkaError:
        return False
    finally:
        await producer.stop()
    return True


@asynccontextmanager
async def _target_slow(site: Site) -> AsyncIterator[None]:
    site.teams.latency = 12.0
    await site.post_alert()
    yield
    site.teams.latency = 0.0


@asynccontextmanager
async def _alerts(site: Site) -> AsyncIterator[None]:
    """Let alerts come all the while: the API is asked only about these."""

    async def post() -> None:
        while True:
            await site.post_alert()
            await asyncio.sleep(1)

    posting = asyncio.create_task(post())
    try:
        yield
    finally:
        posting.cancel()
        await asyncio.wait({posting})


@asynccontextmanager
async def _api_errors(site: Site) -> AsyncIterator[None]:
    site.api.answer_with(503, times=MANY)
    async with _alerts(site):
        yield
    site.api.clear()


@asynccontextmanager
async def _key_refused(site: Site) -> AsyncIterator[None]:
    while "breaker_open" in (["breaker_open"] if (found := await site.raised()) is None else found):
        await asyncio.sleep(0.2)  # while it rests, the API is not asked, and refuses nobody
    site.api.answer_with(401, times=MANY)
    async with _alerts(site):
        yield
    site.api.clear()
    for room in ("stream", "catch-up"):
        before = site.supervisor.restarts(room)
        site.supervisor.kill(room)  # a new key is read when it starts
        await site.back(room, before)


@asynccontextmanager
async def _key_expiring(site: Site) -> AsyncIterator[None]:
    end = datetime.now(UTC) + timedelta(days=3)
    parts = [orjson.dumps(each) for each in ({"alg": "none"}, {"exp": int(end.timestamp())})]
    key = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    file = site.folder / ".env"
    file.write_text(f"SEKOIA_API_KEY={key}.simulated\n", encoding="utf-8")
    yield
    file.write_text("SEKOIA_API_KEY=simulated-key-without-an-end\n", encoding="utf-8")


@asynccontextmanager
async def _silence(site: Site) -> AsyncIterator[None]:
    """Raise alerts at the API, and let no webhook come."""
    quiet_until = time.monotonic() + QUIET
    while time.monotonic() < quiet_until:
        await asyncio.sleep(0.2)
    for _ in range(2):
        site.tenant.create_alert(oddity="")
    yield
    await site.post_alert()


@asynccontextmanager
async def _disk_low(site: Site) -> AsyncIterator[None]:
    file = site.folder / "filled"
    with file.open("wb") as taken:
        await asyncio.to_thread(os.posix_fallocate, taken.fileno(), 0, 2 * site.room)
    try:
        yield
    finally:
        file.unlink()


@asynccontextmanager
async def _canary_missed(site: Site) -> AsyncIterator[None]:
    site.receivers.drops.add("lab")
    await _try_canary(site)
    yield
    site.receivers.drops.clear()
    await _try_canary(site)


async def _try_canary(site: Site) -> None:
    """Run `tocsin canary lab` where the watch runs; once more where another drill has broken the rules just then."""
    watch = site.rooms["watch"]
    argv = (sys.executable, "-P", "-m", "ops", "canary", "lab")
    while True:
        tried = await asyncio.create_subprocess_exec(
            *argv, cwd=watch.cwd, env=dict(watch.env), stdout=DEVNULL, stderr=DEVNULL
        )
        if await tried.wait() != PERSON_CAN_FIX:
            return
        await asyncio.sleep(1)


@asynccontextmanager
async def _rules_broken(site: Site) -> AsyncIterator[None]:
    site.write_rules(site.rules.replace("notify: soc", "notify: sco"))
    yield
    site.write_rules(site.rules + "# put right\n")


_ALL = (
    Drill("target-unavailable", "target_unavailable/soc", "the Teams channel answers 503", _target_unavailable),
    Drill("target-gone", "target_paused/soc", "the Teams channel's address is gone (410)", _target_gone),
    Drill("target-slow", "late/soc", "the Teams channel takes twelve seconds a message", _target_slow),
    Drill("dead-letter", "dead_letter", "a record of the raw topic cannot be read", _dead_letter, aside=True),
    Drill("kafka-down", "kafka_away", "the broker is killed", kafka_down),
    Drill(
        "kafka-hangs", "spool_in_use/ingest", "the broker is stopped in its tracks while a webhook comes", kafka_hangs
    ),
    Drill("kafka-readonly", "spool_in_use/ingest", "the broker answers and takes no records", kafka_readonly),
    Drill(
        "webhooks-refused", "webhooks_refused/ingest", "the broker is stopped, and the spool is full", webhooks_refused
    ),
    Drill("ingest-frozen", "room_down/ingest", "ingest is stopped in its tracks", frozen("ingest")),
    Drill("stream-frozen", "room_down/stream", "the stream is stopped in its tracks", frozen("stream")),
    Drill("sinks-frozen", "room_down/sinks", "the sinks, which would tell of it, are stopped", frozen("sink")),
    Drill("ingest-crashes", "room_restarting/ingest", "ingest is killed again and again", restarting),
    Drill("rules-broken", "rules_refused/sinks", "the rules file gets a mistake", _rules_broken, aside=True),
    Drill("key-expiring", "api_key_expiring", "the API key ends in three days", _key_expiring, aside=True),
    Drill(
        "canary-missed", "canary_missed/lab", "a channel accepts messages and shows none", _canary_missed, aside=True
    ),
    Drill("disk-low", "disk_low/data", "the disk is filled", _disk_low, aside=True),
    Drill("webhooks-silent", "webhooks_silent", "alerts are raised, and no webhook comes", _silence),
    Drill("api-errors", "breaker_open", "the Alert API answers 503", _api_errors, aside=True),
    Drill("key-refused", "api_key_refused", "the Alert API answers 401", _key_refused),
    Drill("topics-missing", "topics_missing", "a topic is deleted", topics_missing),
)

DRILLS = {each.name: each for each in _ALL}
