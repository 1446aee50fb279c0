"""Time cut into slots of one call each: whoever shares the vendor's limit calls in a slot of its own."""

import asyncio
import errno
import hashlib
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import floor
from urllib.parse import urlsplit

from events.errors import NotReady

OPERATORS = 0.5
"""Slots a second that are left to the operator's commands and to the sinks' look-ups."""
OPEN = 0.2
"""The part of a slot in which its call may go.

Calls of the vendor's 4.5 slots a second (SEKOIA_REQUESTS_PER_SECOND) are then six in at least 5 / 4.5 - 0.2 / 4.5 =
1.066 s, so that any second holds five. What is left over, 66 ms, is for the way to the vendor and for the hosts' clocks,
which NTP keeps closer than that.
"""


LOST = 60
"""Slots somebody else may take before a command gives up: two minutes."""


@dataclass(frozen=True)
class Slots:
    """`rate` slots a second of the wall clock; of each round of them the last one is the operator's."""

    rate: float
    clock: Callable[[], float] = time.time

    @property
    def round(self) -> int:
        """How many slots make a round."""
        return max(2, round(self.rate / OPERATORS))

    @property
    def stream(self) -> float:
        """Slots a second that are the stream's."""
        return self.rate * (self.round - 1) / self.round

    def now(self, early: float = 0.0) -> int:
        """Return the number of the present slot, for somebody who is so many seconds early."""
        return floor((self.clock() + early) * self.rate)

    def turn(self, slot: int) -> int | None:
        """Return which of the stream's slots this is, counted through; None for one of the operator's."""
        rounds, place = divmod(slot, self.round)
        return rounds * (self.round - 1) + place if place < self.round - 1 else None

    def until(self, mine: Callable[[int], bool], used: int, within: int, early: float = 0.0) -> float:
        """Return the seconds until the next slot that is `mine` and not `used`, looking `within` so many ahead."""
        wall = (self.clock() + early) * self.rate
        slot = floor(wall)
        first = slot if wall - slot < OPEN else slot + 1
        for each in range(first, first + within):
            if mine(each) and each != used:
                return max(0.0, (each - wall) / self.rate)
        return within / self.rate


class OperatorsBudget:
    """Calls of somebody beside the stream, in the slots left to all such; on one host no two take the same."""

    def __init__(self, slots: Slots, api: str = "", claim: "Callable[[str], object | None] | None" = None) -> None:
        """Call the API at this address; `claim` takes a name, or returns None when somebody has it."""
        self._slots = slots
        self._api = hashlib.blake2b(_vendor(api).encode(), digest_size=8).hexdigest()
        self._claim = claim or claimed
        self._used = -1
        self._held: object = None

    @property
    def rate(self) -> float:
        """Calls per second the command may make."""
        return self._slots.rate - self._slots.stream

    async def take(self) -> None:
        """Let a call be prepared; a command makes one at a time, and `leave` holds it back."""

    def delay(self) -> float:
        """Return the seconds until the next call may go."""
        return self._slots.until(lambda slot: self._slots.turn(slot) is None, self._used, 2 * self._slots.round + 1)

    async def leave(self) -> None:
        """Wait until the first byte of the next call may go.

        Raises NotReady when others take every slot for a long time.
        """
        for _ in range(LOST):
            while wait := self.delay():
                await asyncio.sleep(wait)
            self._used = self._slots.now()
            if held := self._claim(f"{self._api}/{self._used}"):
                self._held = held  # lets go of the one before
                return
        raise NotReady("Other commands on this host call the Alert API all the time: run one after the other.")


def _vendor(api: str) -> str:
    """Return the host; all regions and ways to the vendor's API are one, as its limit may be."""
    host = urlsplit(api).netloc.lower()
    return "sekoia.io" if host.endswith(".sekoia.io") else host


def claimed(name: str) -> object | None:
    """Take a name that one process of this host may have, for as long as the result lives; None when it is taken.

    The name is an address of Linux's abstract namespace, which leaves nothing behind and belongs to the network namespace, as
    the way to the vendor does. Where there is none every claim is granted: two commands at once may then call together.
    """
    if sys.platform != "linux":
        return object()
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        held.bind(f"\0tocsin/{name}")
    except OSError as error:
        held.close()
        return None if error.errno == errno.EADDRINUSE else object()
    return _Claim(held.detach())


class _Claim:
    """A name; it is given back with the last reference, or by the kernel when the process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __del__(self) -> None:
        os.close(self._descriptor)
