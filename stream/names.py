"""Names a person can write rules with: of the community, the assets, the case, the report."""

import asyncio
import re
from collections import Counter, OrderedDict
from functools import lru_cache
from typing import Any

import structlog

from events.records import WebhookEvent
from stream.cache import Answer
from stream.questions import Future

log = structlog.get_logger()

KEPT, MISSING_KEPT = 24 * 3600.0, 24 * 3600.0
"""Seconds a name is believed, and that there is none."""
LIMIT, OPEN = 50_000, 500
"""Names kept, and asked for at once; an event does not wait for a name nobody asks for."""
MISSES = 3
"""Names of a kind that are not there, before any that is, after which the kind is taken not to exist for this key."""
LONGEST = 500
"""Characters kept of a name."""
ASSETS = 10
"""Assets of one alert that are named."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_OF_TYPE = {"case": "case", "content-proposal": "report"}
"""Types of event that are about something with a name of its own."""

Name = tuple[str, str]
"""A kind (community, asset, case, report) and a uuid."""


def wanted(event: WebhookEvent, answer: Answer | None) -> list[Name]:
    """Return what of an event has a name."""
    found = [_name("community", event.community_uuid)]
    if event.type in _OF_TYPE:
        found.append(_name(_OF_TYPE[event.type], _text(event.attributes.get("uuid"))))
    if answer and answer.assets:
        found += [_name("asset", uuid) for uuid in answer.assets[:ASSETS]]
    return [name for name in found if name]


@lru_cache(maxsize=20_000)
def _name(kind: str, uuid: str | None) -> Name | None:
    return (kind, uuid.lower()) if uuid and _UUID.fullmatch(uuid.lower()) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


class Names:
    """Names known and asked for; those who look them up take the questions from here."""

    def __init__(self) -> None:
        self._known: OrderedDict[Name, tuple[str | None, float]] = OrderedDict()
        self._open: OrderedDict[Name, Future] = OrderedDict()
        self._misses: Counter[str] = Counter()
        self._found: set[str] = set()
        self.off: dict[str, str] = {}
        """Kinds that are not looked up any more, and why."""

    def __len__(self) -> int:
        return len(self._open)

    def missing(self, names: list[Name], now: float) -> list[Name]:
        """Return those of the names that could be asked for."""
        return [name for name in names if name[0] not in self.off and self._known.get(name, (None, 0.0))[1] < now]

    def ask(self, names: list[Name]) -> list[Future]:
        """Ask for names; a question that is open already is joined."""
        for name in names:
            if name not in self._open and len(self._open) < OPEN:
                self._open[name] = asyncio.get_running_loop().create_future()
        return [self._open[name] for name in names if name in self._open]

    def collect(self, names: list[Name]) -> dict[str, Any]:
        """Return the names known, as a record carries them."""
        record: dict[str, Any] = {}
        for kind, uuid in names:
            name = self._known.get((kind, uuid), (None, 0.0))[0]
            if name and kind == "asset":
                record.setdefault("assets", {})[uuid] = name
            elif name:
                record[kind] = name
        return record

    def take(self) -> tuple[Name, Future] | None:
        """Remove the oldest question."""
        return self._open.popitem(last=False) if self._open else None

    def answered(self, name: Name, found: str | None, now: float) -> None:
        """Note a name, or that there is none."""
        if found is not None:
            self._found.add(name[0])
        elif name[0] not in self._found:
            self._misses[name[0]] += 1
            if self._misses[name[0]] >= MISSES:
                self.switch_off(name[0], "status 404")
        self._known[name] = (found and found[:LONGEST], now + (KEPT if found else MISSING_KEPT))
        self._known.move_to_end(name)
        if len(self._known) > LIMIT:
            self._known.popitem(last=False)

    def switch_off(self, kind: str, reason: str) -> None:
        """Ask for no name of this kind again; nobody waits for one any longer."""
        self.off[kind] = reason
        log.warning("names_switched_off", kind=kind, reason=reason)
        for name in [name for name in self._open if name[0] == kind]:
            self._open.pop(name).set_result(None)

    def give_up(self) -> None:
        """Answer every open question with nothing; it is asked again when an event needs it."""
        while taken := self.take():
            if not taken[1].done():
                taken[1].set_result(None)
