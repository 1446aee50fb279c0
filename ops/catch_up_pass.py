"""One pass of the catch-up: list, compare, feed, and remember where to go on."""

import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import orjson
import structlog
from aiokafka import AIOKafkaProducer

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics
from ops import catch_up_known
from ops.catch_up import Feed, Listed, missing
from stream.alert_api import PAGE
from stream.restore import SLACK

log = structlog.get_logger()

MAX_PAGES = 50
"""Pages held at a time: five thousand alerts, listed in a hundred seconds."""


class Pages(Protocol):
    """The list of changed alerts, asked inside the budget."""

    async def updated(self, since: datetime, offset: int = 0) -> list[dict[str, Any]]:
        """Return a page, the alert changed longest ago first."""


@dataclass(frozen=True)
class Point:
    """Where a pass goes on, in Unix seconds: listing from `since`, for what happened from `floor` to `until`.

    A pass that is under way keeps its floor: what it has not listed yet may have been created before `since`.
    """

    since: float
    floor: float
    until: float | None = None

    def save(self, folder: Path) -> None:
        """Replace the file whole, or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / "resume.json.new"
        with draft.open("wb") as file:
            file.write(orjson.dumps(asdict(self)))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / "resume.json")

    @classmethod
    def load(cls, folder: Path) -> "Point | None":
        """Read it; None before the first pass. Raises NotReady for a file that is not one."""
        try:
            return cls(**orjson.loads((folder / "resume.json").read_bytes()))
        except FileNotFoundError:
            return None
        except (orjson.JSONDecodeError, TypeError) as error:
            raise NotReady(f"{folder / 'resume.json'} cannot be read: remove it and run with --since.") from error


@dataclass
class Done:
    """What a pass has found and fed."""

    listed: int = 0
    created: int = 0
    states: int = 0
    missed_at: float = 0.0
    """When the newest alert was made of which no webhook came, in Unix seconds."""

    def count(self, feed: Feed) -> None:
        """Count a record."""
        if feed.event_id.startswith("created:"):
            self.created += 1
            self.missed_at = max(self.missed_at, feed.at)
        else:
            self.states += 1


async def sweep(
    pages: Pages, kafka: KafkaSettings, point: Point, delay: timedelta, folder: Path | None, *, dry_run: bool = False
) -> Done:
    """Make one pass; one that is cut off goes on from `folder`, or anew without: what it has fed is then known.

    Raises Unavailable, Refused, NotReady, KafkaError.
    """
    # Never before the floor: the delay grows while the stream or a spool is late, and the point must not go back.
    until = point.until or max(point.floor, (datetime.now(UTC) - delay).timestamp())
    done, since, ended = Done(), point.since, False
    while not ended:
        listed, since, ended = await listed_from(pages, since)
        known = await catch_up_known.read(kafka, {each.uuid.lower() for each in listed}, _time(point.floor) - SLACK)
        feeds = list(missing(listed, known, point.floor, until))
        done.listed += len(listed)
        for feed in feeds:
            done.count(feed)
        if not dry_run:
            await _feed(kafka, feeds)
        if folder:
            after = Point(until, until) if ended else Point(since, point.floor, until)
            after.save(folder)  # only now: everything before it is on the brokers
        log.info(
            "catch_up_listed", alerts=done.listed, created=done.created, states=done.states, up_to=str(_time(since))
        )
    return done


async def listed_from(pages: Pages, since: float) -> tuple[list[Listed], float, bool]:
    """Return alerts, where to go on, and whether that was all.

    A page begins at the last one's newest change, not after so many alerts: one that changes meanwhile moves to the end
    and would shift the others past us. Only within a second that fills a page are alerts counted. Raises Unavailable,
    Refused, and NotReady where a second has too many.
    """
    found: dict[tuple[str, float], Listed] = {}
    offset = 0
    for _ in range(MAX_PAGES):
        items = await pages.updated(_time(since), offset)
        page = [each for each in map(Listed.read, items) if each]
        found |= {(each.uuid, each.updated_at): each for each in page}
        if len(items) < PAGE:
            return list(found.values()), since, True
        last = max((each.updated_at for each in page), default=since)
        since, offset = (last, 0) if last > since else (since, offset + len(items))
    if offset:
        raise NotReady(f"More than {MAX_PAGES * PAGE} alerts changed in one second ({_time(since)}): nothing was fed.")
    return list(found.values()), since, False


async def _feed(kafka: KafkaSettings, feeds: list[Feed]) -> None:
    if not feeds:
        return
    async with AIOKafkaProducer(**kafka.client_options(), acks="all", enable_idempotence=True) as producer:
        raw = Topics(kafka.topic_prefix).raw
        for feed in feeds:
            headers = feed.headers(datetime.now(UTC), uuid4().hex)
            await producer.send_and_wait(raw, feed.value, key=feed.key, headers=headers)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
