"""`tocsin catch-up`: one pass, or one after another."""

import asyncio
from datetime import UTC, datetime, timedelta

from aiokafka.errors import KafkaError

from events.errors import NotReady
from events.headers import parse_time
from events.settings import KafkaSettings, parse_duration
from inbox.settings import InboxSettings
from ops.catch_up_job import Job
from ops.catch_up_pass import Done, Point, sweep
from ops.catch_up_settings import CatchUpSettings
from ops.paced import alert_api
from ops.scan import Unreachable
from sinks import health
from stream.alert_api import Refused, Unavailable
from stream.settings import SekoiaSettings

FURTHEST = timedelta(days=13)
"""The raw topic is kept for 14 days; what it has forgotten would be fed again."""


def run(since: str, *, dry_run: bool) -> int:
    """Catch up; returns 1 when the API could not answer.

    Raises NotReady.
    """
    settings, kafka, sekoia = CatchUpSettings(), KafkaSettings(), SekoiaSettings()
    now = datetime.now(UTC)
    begin = _begin(since, now) if since else None
    job = Job(kafka, settings, InboxSettings().room_addresses().values())
    if settings.every and begin is None and not dry_run:
        health.serve(settings.admin_host, settings.admin_port, job.health)
    return asyncio.run(_run(settings, kafka, sekoia, begin, dry_run=dry_run, job=job))


def _begin(text: str, now: datetime) -> datetime:
    span = parse_duration(text)
    begin = now - span if isinstance(span, timedelta) else parse_time(text)
    if begin is None:
        raise NotReady("--since is a span such as 24h, or a time with its zone such as 2026-07-29T08:00:00Z.")
    if not now - FURTHEST <= begin <= now:
        raise NotReady(f"--since must be in the last {FURTHEST.days} days: the raw topic remembers no longer.")
    return begin


async def _run(
    settings: CatchUpSettings,
    kafka: KafkaSettings,
    sekoia: SekoiaSettings,
    begin: datetime | None,
    *,
    dry_run: bool,
    job: Job,
) -> int:
    once = settings.every is None or begin is not None or dry_run
    # A pass over a span of its own leaves the point alone: what lies before the span may still be to do.
    folder = None if begin or dry_run else settings.data
    async with alert_api(sekoia, kafka) as pages:
        while True:
            point = _point(settings, begin, dry_run=dry_run)
            try:
                delay = await job.delay()
                done = await sweep(pages, kafka, point, delay, folder, dry_run=dry_run)
                print(_summary(done, point, dry_run=dry_run), flush=True)
                if once:
                    return 0
                await job.done(done)
            except KafkaError as error:
                if once or not error.retriable:
                    raise NotReady(f"Kafka at {kafka.bootstrap_servers} does not do its part: {error!r}.") from error
                job.stopped(repr(error))
            except Unreachable as error:
                if once:
                    raise
                job.stopped(str(error))
            except (Unavailable, Refused) as error:
                job.stopped(str(error), refused=isinstance(error, Refused))
                if once:
                    return 1
            await asyncio.sleep((settings.every or timedelta(0)).total_seconds())


def _point(settings: CatchUpSettings, begin: datetime | None, *, dry_run: bool) -> Point:
    """Return where to go on; a first pass without --since begins now, so that nobody is told of what is long past."""
    now = datetime.now(UTC)
    if begin:
        return Point(begin.timestamp(), begin.timestamp())
    first = (now - settings.delay).timestamp()
    point = Point.load(settings.data)
    if point and point.floor < (now - FURTHEST).timestamp():
        raise NotReady(f"The last catch-up was over {FURTHEST.days} days ago: say where to begin with --since.")
    if point is None:
        point = Point(first, first)
        if not dry_run:
            point.save(settings.data)
    return point


def _summary(done: Done, point: Point, *, dry_run: bool) -> str:
    verb = "would feed" if dry_run else "fed"
    begin = datetime.fromtimestamp(point.floor, UTC).isoformat(timespec="seconds")
    return f"catch-up since={begin} listed={done.listed} {verb} created={done.created} states={done.states}"
