"""Start one target, or all of a type: check what they need, then run each until told to stop."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics
from sinks import health, positions, rules_file, shelf
from sinks.delivery import Delivery
from sinks.positions import Positions
from sinks.receipts import Receipts
from sinks.rules import Rules, Target
from sinks.runner import Runner
from sinks.settings import SinksSettings

log = structlog.get_logger()

DEFAULT_RULES = Path("tocsin.yml")


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
    path = settings.rules or (DEFAULT_RULES if DEFAULT_RULES.exists() else None)
    if path is not None:
        return rules_file.read(path, os.environ)
    url = settings.teams_webhook_url.get_secret_value()
    if not url:
        raise NotReady("There is no target: set TEAMS_WEBHOOK_URL, or name a rules file in TOCSIN_RULES.")
    text = 'targets: {teams: {type: teams, url: "${TEAMS_WEBHOOK_URL}"}}\nrules: [{name: all, match: all, notify: teams}]\n'
    return rules_file.parse(text, "TEAMS_WEBHOOK_URL", {"TEAMS_WEBHOOK_URL": url})


def choose(rules: Rules, name: str, type_: str) -> list[Target]:
    """Return the targets asked for: by name, by type, or all.

    Raises NotReady with the targets there are.
    """
    chosen = [
        target
        for target in rules.targets.values()
        if (not name or target.name == name) and (not type_ or target.type == type_)
    ]
    if not chosen:
        what = f"target {name!r}" if name else f"target of type {type_!r}"
        raise NotReady(
            f"There is no {what}; the rules have: {', '.join(rules.targets) or 'none'}, and there is archive."
        )
    return chosen


async def _run(settings: SinksSettings, kafka: KafkaSettings, rules: Rules, targets: list[Target]) -> None:
    topic = await _topic(kafka)
    runners: dict[str, Runner] = {}
    health.serve(settings.admin_host, settings.admin_port, lambda: _health(targets, runners))

    def stop() -> None:
        for runner in runners.values():
            runner.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    async with asyncio.TaskGroup() as tasks:
        for target in targets:
            tasks.create_task(_target(settings, kafka, rules, target, topic, runners))


async def _target(
    settings: SinksSettings, kafka: KafkaSettings, rules: Rules, target: Target, topic: str, runners: dict[str, Runner]
) -> None:
    await positions.prepare(kafka, target.name, topic, target.start or settings.start)
    consumer = positions.client(kafka, target.name, session_timeout_ms=10_000, heartbeat_interval_ms=2_500)
    producer = AIOKafkaProducer(**kafka.client_options(), acks="all", enable_idempotence=True, max_request_size=4 << 20)
    async with AsyncExitStack() as stack:
        await producer.start()
        stack.push_async_callback(producer.stop)
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        destination = await stack.enter_async_context(shelf.find(target.type)(target.settings))
        receipts = Receipts(kafka, target.name, producer)
        runner = runners[target.name] = Runner(consumer, Positions(consumer, kafka, target.name, topic), receipts)
        consumer.subscribe([topic], listener=runner)
        log.info("target_starting", target=target.name, type=target.type)
        await runner.run(Delivery(target.name, destination, rules, receipts, runner.pause))


async def _topic(kafka: KafkaSettings) -> str:
    topics = Topics(kafka.topic_prefix)
    wanted = [topics.enriched, topics.deliveries, topics.dead_letters]
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
    return topics.enriched


def _health(targets: list[Target], runners: dict[str, Runner]) -> tuple[bool, dict[str, Any]]:
    assigned = {target.name: target.name in runners and runners[target.name].assigned.is_set() for target in targets}
    return all(assigned.values()), {"targets": assigned}
