"""Start the stream: check what it needs, then let Faust run it."""

import asyncio
import gc
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog

from events.errors import NotReady
from events.settings import KafkaSettings
from events.slots import Slots
from events.topics import Topics
from stream import app as faust_app
from stream import positions, watchdog
from stream.alert_api import AlertApi
from stream.breaker import Breaker
from stream.budget import MEMBER, Budget
from stream.ending import end_process
from stream.enrich import Enricher
from stream.gossip import Gossip
from stream.lookups import Lookups
from stream.settings import SekoiaSettings, StreamSettings
from stream.worker import Worker

log = structlog.get_logger()


def run() -> None:
    """Run one worker until SIGTERM.

    Raises NotReady.
    """
    kafka, settings, sekoia = KafkaSettings(), StreamSettings(), SekoiaSettings()
    if settings.dedupe_window <= timedelta(0):
        raise NotReady("STREAM_DEDUPE_WINDOW must be longer than nothing, for example 24h.")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # else a line for every call
    api = AlertApi(sekoia)
    asyncio.run(positions.prepare(kafka))
    app = faust_app.build(kafka, settings)
    budget = Budget(Slots(sekoia.requests_per_second), MEMBER)
    lookups = Lookups(api, budget, Breaker(), settings.batch_size, settings.batch_delay.total_seconds())
    worker = connected(app, kafka, settings, sekoia, lookups)
    api.before_send = lookups.before_send
    gossip = Gossip(kafka, lookups.heard)
    lookups.tell = gossip.tell
    faust_app.on_started(app, lambda: _begin(lookups, gossip, worker, lambda: app.should_stop))
    log.info("stream_starting", api=sekoia.api(), group=kafka.group("stream"))
    faust_app.run(app)


def connected(
    app: Any, kafka: KafkaSettings, settings: StreamSettings, sekoia: SekoiaSettings, lookups: Lookups
) -> Worker:
    """Return the worker that takes what Faust brings, and tells it what is finished."""
    topics = Topics(kafka.topic_prefix)
    worker = Worker(
        kafka,
        settings,
        lookups,
        Enricher(lookups, sekoia.app(), settings.enrich_deadline),
        pause=lambda number, paused: faust_app.pause(app, topics, number, paused),
        finish=lambda number, offset: faust_app.finish(app, topics, number, offset),
        stopping=lambda: app.should_stop,
    )
    faust_app.connect(app, topics, worker)
    return worker


def _begin(lookups: Lookups, gossip: Gossip, worker: Worker, stopping: Callable[[], bool]) -> None:
    """Start what needs the running loop."""
    collect_seldom()
    loop = asyncio.get_running_loop()
    for name, work in (("lookups", _look_up(lookups, gossip)), ("gossip", gossip.run())):
        task = loop.create_task(work, name=name)
        task.add_done_callback(
            lambda done: done.cancelled() or stopping() or end_process(f"{done.get_name()} failed", done.exception())
        )
    watchdog.start(
        lambda: watchdog.Pulse(worker.progress(), worker.vouched, stopping()),
        loop,
    )


def collect_seldom() -> None:
    """Let the garbage collector look through young objects once in 50,000 instead of 700.

    Thousands of records, marks and tasks are alive at any time and next to none of them in a cycle: looking through them
    took a fifth of a worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 5, 10)


async def _look_up(lookups: Lookups, gossip: Gossip) -> None:
    """Call nobody before knowing of what others, or this worker in its last life, were refused."""
    await gossip.up_to_date.wait()
    await lookups.run()
