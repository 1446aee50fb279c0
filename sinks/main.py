"""Start one target, or all of a type: check what they need, then run each until told to stop."""

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics
from sinks import health, rules_file, shelf
from sinks.connections import Connections
from sinks.reload import reloading
from sinks.rules import Rules, Target
from sinks.settings import SinksSettings
from sinks.target import TargetRun

log = structlog.get_logger()

DEFAULT_RULES = Path("tocsin.yml")

GRACE, CLOSING = 15.0, 12.0
"""Seconds a record in flight gets when the process is asked to stop, and then the connections to close."""


def run(name: str = "", type_: str = "") -> None:
    """Run the targets until SIGTERM or SIGINT.

    Raises NotReady.
    """
    settings, kafka = SinksSettings(), KafkaSettings()
    rules = load(settings)
    asyncio.run(_run(settings, kafka, rules, choose(rules, name, type_)))


def load(settings: SinksSettings) -> Rules:
    """Read the rules file, or make the one target that TEAMS_WEBHOOK_URL alone stands for.

    Raises NotReady.
    """
    path = _path(settings)
    if path is not None:
        return rules_file.read(path, rules_file.environment())
    url = settings.teams_webhook_url.get_secret_value()
    if not url:
        raise NotReady("There is no target: set TEAMS_WEBHOOK_URL, or name a rules file in TOCSIN_RULES.")
    return rules_file.parse(rules_file.WITHOUT_FILE, "TEAMS_WEBHOOK_URL", {"TEAMS_WEBHOOK_URL": url})


def _path(settings: SinksSettings) -> Path | None:
    return settings.rules or (DEFAULT_RULES if DEFAULT_RULES.exists() else None)


def choose(rules: Rules, name: str, type_: str) -> list[Target]:
    """Return the targets asked for: by name, by type, or all.

    Raises NotReady with the targets there are.
    """
    known = list(rules.targets)
    if name and name not in rules.targets:
        raise NotReady(f"There is no target {name!r}{shelf.did_you_mean(name, [*known, 'archive'])}")
    if type_:
        shelf.find(type_)
    chosen = [t for t in rules.targets.values() if (not name or t.name == name) and (not type_ or t.type == type_)]
    if not chosen:
        raise NotReady(f"There is no target of type {type_!r}; the rules have: {', '.join(known)}.")
    return chosen


async def _run(settings: SinksSettings, kafka: KafkaSettings, rules: Rules, targets: list[Target]) -> None:
    await _check_topics(kafka)
    connections = Connections([target.name for target in targets])
    runs = [TargetRun(kafka, rules, target, target.start or settings.start, connections) for target in targets]
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    health.serve(settings.admin_host, settings.admin_port, lambda: _health(runs))
    async with reloading(_path(settings), rules, [target.name for target in targets]):
        await supervise(runs, stop)


async def supervise(runs: Sequence[TargetRun], stop: asyncio.Event) -> None:
    """Run all targets until `stop`; the first that ends ends them all, so that the process is restarted as a whole.

    Raises what ended it.
    """
    tasks = [asyncio.create_task(one.run(), name=one.name) for one in runs]
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({*tasks, waiting}, return_when=asyncio.FIRST_COMPLETED)
        for one in runs:
            one.stop()
        done, late = await asyncio.wait(tasks, timeout=GRACE)
        if late:
            log.warning("stopped_in_flight", targets=sorted(task.get_name() for task in late))
    finally:
        for task in (*tasks, waiting):
            task.cancel()
        await asyncio.wait(tasks, timeout=CLOSING)
    for task in done:
        task.result()


async def _check_topics(kafka: KafkaSettings) -> None:
    topics = Topics(kafka.topic_prefix)
    wanted = [topics.enriched, topics.redeliveries, topics.deliveries, topics.dead_letters]
    admin = AIOKafkaAdminClient(**kafka.client_options())
    try:
        await admin.start()
        there = set(await admin.list_topics())
    except KafkaConnectionError as error:
        raise NotReady(f"Kafka does not answer at {kafka.bootstrap_servers}.") from error
    finally:
        await admin.close()
    for topic in wanted:
        if topic not in there:
            raise NotReady(f"Topic {topic} does not exist; run `tocsin topics create`.")


def _health(runs: Sequence[TargetRun]) -> tuple[bool, dict[str, Any]]:
    # A target that is away does not make the sink ill: restarting it would not help.
    assigned = {one.name: one.assigned for one in runs}
    paused = {one.name: one.paused for one in runs if one.paused}
    retrying = {one.name: asdict(one.retry) for one in runs if one.retry}
    more = {"paused": paused, "retrying": retrying}
    return all(assigned.values()), {"targets": assigned, **{name: said for name, said in more.items() if said}}
