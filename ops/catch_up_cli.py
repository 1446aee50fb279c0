"""`tocsin catch-up`: one pass, or one after another."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka.errors import KafkaError

from events.errors import NotReady
from events.headers import parse_time
from events.settings import KafkaSettings, parse_duration
from inbox.settings import InboxSettings
from ops.catch_up_job import Job
from ops.catch_up_pass import Done, Point, sweep
from ops.catch_up_settings import CatchUpSettings
from ops.scan import Unreachable
from sinks import health
from stream.alert_api import AlertApi, Refused, Unavailable
from stream.breaker import Breaker
from stream.budget import Budget
from stream.main import OPERATORS_SHARE
from stream.settings import SekoiaSettings

FURTHEST = timedelta(days=13)
"""The raw topic is kept for 14 days; what it has forgotten would be fed again."""


class Paced:
    """The Alert API inside the operator's share, silent where the vendor wants silence."""

    def __init__(self, api: AlertApi, budget: Budget, breaker: Breaker) -> None:
        self._api, self._budget, self._breaker = api, budget, breaker
        budget.share({0}, 1, -10.0)  # all of the operator's share, and at once

    async def updated(self, since: datetime, offset: int = 0) -> list[dict[str, Any]]:
        """Return a page. Raises Unavailable, Refused."""
        loop = asyncio.get_running_loop()
        if pause := self._breaker.silent_for(loop.time()):
            raise Unavailable(f"silent for {pause:.0f} s more: {self._breaker.reason}", counts=False)
        await self._budget.take()
        try:
            page = await self._api.updated(since, offset)
        except Refused as error:
            self._breaker.refuse(loop.time(), str(error))
            raise
        except Unavailable as error:
            if error.counts or error.retry_after is not None:
                self._breaker.error(loop.time(), str(error), error.retry_after)
            raise
        self._breaker.success()
        return page


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
    async with AlertApi(sekoia) as api:
        # One error is enough: the stream calls from the same address, and its errors count with ours.
        pages = Paced(api, Budget(OPERATORS_SHARE), Breaker(allowed_errors=0))
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
                job.stopped(str(error))
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
