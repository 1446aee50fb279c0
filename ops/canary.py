"""Canaries: messages that try a target, and what comes of them."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from events.records import EnrichedEvent, Enrichment, Links, WebhookEvent
from events.state_changes import CANARY, ORIGIN, TYPE
from ops import canary_read_back
from ops.canary_record import Record, Unsaved, complaint, due
from sinks import shelf
from sinks.destination import Unavailable, Undeliverable
from sinks.rules import Rules, Target

WITHIN = 60.0
"""Seconds a target may take to accept one."""

LOOK_EVERY = 30.0
"""Seconds between two looks whether one is due."""

log = structlog.get_logger()


def folder(data: Path) -> Path:
    """Return where the records of all targets are."""
    return data / "watch" / "canaries"


def draw(target: Target, mark: str, code: str, url: str, now: datetime) -> EnrichedEvent:
    """Make the message; `url` is where the page that confirms it is reached, empty where there is none."""
    link = f"{url.rstrip('/')}/{target.name}/{code}" if url and code else None
    todo = "There is nothing to do: it is read back by itself."
    if code:
        todo = (
            "Whoever sees this: open the link and press the button there, so that it is known that this place is read."
        )
        todo += "" if link else f" Or have an operator run: tocsin canary --confirm {code}"
    return EnrichedEvent(
        event_id=f"{TYPE}/canary/{target.name}/{mark}",
        received_at=now,
        origin=ORIGIN,
        event=WebhookEvent(
            type=TYPE,
            action=CANARY,
            attributes={
                "uuid": f"{TYPE}/canary/{target.name}",
                "title": f"Canary {mark}: this only tries the way to {target.name}",
                "description": todo,
            },
            metadata={"created_at": now.isoformat()},
        ),
        enrichment=Enrichment(status="not_applicable"),
        links=Links(alert=link),
    )


async def attempt(target: Target, record: Record, url: str = "", within: float | None = None) -> Record:
    """Send a canary, look for it where that can be done, and return what is known then; `within` bounds the look."""
    mark = secrets.token_hex(8)
    code = secrets.token_urlsafe(18) if target.canary.proof == "human" else ""
    if trouble := await _send(target, draw(target, mark, code, url, datetime.now(UTC))):
        return record.failed(time.time(), trouble)
    record = record.sent(time.time(), code)
    if target.canary.proof != "read_back":
        return record
    trouble = await canary_read_back.find(target.canary, mark, within)
    return record.failed(time.time(), trouble) if trouble else record.proved(time.time())


async def _send(target: Target, event: EnrichedEvent) -> str:
    try:
        async with asyncio.timeout(WITHIN), shelf.find(target.type)(target.settings) as destination:
            await destination.deliver(event)
    except (Unavailable, Undeliverable) as error:
        return f"it was not accepted: {error.reason}"
    except TimeoutError:
        return f"it was not accepted within {WITHIN:.0f} s"
    return ""


class Canaries:
    """The canaries of a watch: sent when they are due, and what is missed."""

    def __init__(self, rules: Rules, data: Path, url: str, clock: Callable[[], float] = time.time) -> None:
        self._rules = rules
        self._folder = folder(data)
        self._url = url
        self._clock = clock
        self._unsaved: dict[str, Record] = {}
        """What the disk did not take yet: else the same canary would be due at once again."""

    def missed(self) -> dict[str, str]:
        """Return for every target that proves itself why its canary is missed, empty where it is not."""
        return {
            name: complaint(target.canary, self._record(name), self._clock())
            for name, target in self._rules.targets.items()
            if target.canary.proof != "accepted_only"
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Send what is due, until told to stop."""
        while not stop.is_set():
            await self.send_due()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_EVERY)

    async def send_due(self) -> None:
        """Send to every target whose canary is due, one after the other."""
        for name, record in list(self._unsaved.items()):
            self._save(name, record)
        for name, target in list(self._rules.targets.items()):
            record = self._record(name)
            if due(target.canary, record, self._clock()):
                tried = await attempt(target, record, self._url)
                self._save(name, tried)
                log.info("canary", target=name, proof=target.canary.proof, trouble=tried.trouble or None)

    def _record(self, name: str) -> Record:
        return self._unsaved.get(name) or Record.load(self._folder, name)

    def _save(self, name: str, record: Record) -> None:
        try:
            record.save(self._folder, name)
            self._unsaved.pop(name, None)
        except Unsaved as error:
            if name not in self._unsaved:
                log.error("canary_not_saved", target=name, reason=str(error))
            self._unsaved[name] = record
