"""The connections of the public port: how many, and how long each may take to say what it wants."""

import asyncio
import itertools
import resource
from typing import Protocol

from ingest.metrics import Reason

HEADERS_WITHIN = 10.0
"""Seconds a request's head may take to arrive, the first from the moment of the connection."""

KEEP_ALIVE = 75
"""Seconds an idle connection is kept: longer than proxies keep theirs, else they post into one that just closed."""

SPARE_FILES = 128
"""File descriptors for everything that is not a sender's connection."""

_SWEEP = 1.0


class Visitor(Protocol):
    """One connection."""

    def dismiss(self, reason: Reason) -> None:
        """Close it, with an answer where one can be given."""

    def leave(self) -> None:
        """Close it, nothing being on its way."""


class Crowd:
    """All connections; those that keep nobody busy go first when there are too many."""

    def __init__(self, most: int) -> None:
        """Take how many connections there may be."""
        self.most = most
        self._reading: dict[Visitor, float] = {}
        self._idle: dict[Visitor, float] = {}

    def reading(self, visitor: Visitor, now: float) -> None:
        """Note that the head of a request is on its way."""
        self.left(visitor)  # so that it goes behind those who came meanwhile
        self._reading[visitor] = now

    def is_reading(self, visitor: Visitor) -> bool:
        """Tell whether the head of a request is on its way."""
        return visitor in self._reading

    def busy(self, visitor: Visitor) -> None:
        """Note that a request is being answered."""
        self._reading.pop(visitor, None)

    def idle(self, visitor: Visitor, now: float) -> None:
        """Note that nothing is on its way."""
        if visitor not in self._reading:
            self._idle[visitor] = now

    def left(self, visitor: Visitor) -> None:
        """Forget a connection."""
        self._reading.pop(visitor, None)
        self._idle.pop(visitor, None)

    def make_room(self) -> bool:
        """Dismiss whoever has kept nobody busy for longest; False when all are being answered."""
        visitor = next(iter(self._idle), None) or next(iter(self._reading), None)
        if visitor is None:
            return False
        self.left(visitor)
        visitor.dismiss("crowded")
        return True

    async def sweep(self) -> None:
        """Dismiss those whose request's head does not arrive, and who stay idle, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP)
            self.expire(loop.time())

    def expire(self, now: float) -> None:
        """Dismiss those whose request's head is not in by now, and who have been idle for long."""
        for visitor in _since(self._reading, now - HEADERS_WITHIN):
            self.left(visitor)
            visitor.dismiss("slow")
        for visitor in _since(self._idle, now - KEEP_ALIVE):
            self.left(visitor)
            visitor.leave()


def _since(times: dict[Visitor, float], moment: float) -> list[Visitor]:
    """Return those noted before the moment; the oldest come first."""
    return [visitor for visitor, _ in itertools.takewhile(lambda each: each[1] < moment, times.items())]


def most_connections(wanted: int) -> int:
    """Return how many connections this process may hold, after raising its limit of open files as far as it goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return wanted if hard == resource.RLIM_INFINITY else max(16, min(wanted, hard - SPARE_FILES))
