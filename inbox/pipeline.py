"""The pipeline at a glance: what each room says of itself, what flows, what waits, and what is wrong."""

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import Literal

import httpx
from aiokafka.errors import KafkaError

from events.settings import KafkaSettings
from inbox import runbook
from inbox.figures import UNAVAILABLE, Figure, figures, targets
from inbox.lag import FEW, Lag, Lags
from inbox.letters import Letters
from inbox.rooms import Answer, ask

State = Literal["well", "watch", "wrong"]

ANSWER_WITHIN = 1.5
LOOK_EVERY = 2.0
"""Seconds for which one look serves everybody: rooms are asked, and rates are counted, between looks this far apart."""

STALE = 30.0
"""Seconds after which an earlier look says nothing about the rate of now."""

LAG_EVERY = 4.0
LAG_WITHIN = 10.0
AWAY = "does not answer"
LATE, TOO_LATE = 30.0, 300.0
"""Seconds the oldest waiting record of a group may be old before it is shown as late, and as wrong."""


@dataclass(frozen=True)
class Room:
    """One tile of the page."""

    name: str
    state: State
    says: str
    figures: list[Figure] = field(default_factory=list)
    entry: str = ""
    """The runbook entry about its state."""
    target: bool = False
    """Whether it is not a room, but a target that one serves."""


@dataclass(frozen=True)
class Glance:
    """One look at everything."""

    rooms: list[Room]
    lags: list[tuple[Lag, State]]
    kafka: str
    """What is wrong with Kafka, "" for nothing."""
    targets: list[Room] = field(default_factory=list)
    letters: list[tuple[str, str, int]] | None = None
    """Stage, target and number of the dead letters nobody has dealt with; None while they are being counted."""
    more_letters: bool = False

    @property
    def state(self) -> State:
        """The worst state of anything."""
        states = {tile.state for tile in (*self.rooms, *self.targets)} | {state for _, state in self.lags}
        if self.kafka == AWAY or "wrong" in states:
            return "wrong"
        return "watch" if "watch" in states or self.letters else "well"


class Pipeline:
    """Look at the rooms and the groups; what does not answer is shown as such, never an error."""

    def __init__(self, rooms: dict[str, str], kafka: KafkaSettings, letters: Letters | None = None) -> None:
        self._rooms = rooms
        self._letters = letters or Letters()
        self._kafka = kafka
        self._before: dict[str, tuple[float, Answer]] = {}
        self._lags: list[Lag] = []
        self._kafka_says = "not asked yet"
        self._lags_at = -LAG_EVERY
        self._asking: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[Glance] | None = None
        self._looked_at = 0.0

    async def look(self, recent: float = 0.0) -> Glance:
        """Look at everything at once, or return the look of a moment ago; lag is at most some seconds old.

        A look of `recent` seconds ago will do where that is longer.
        """
        done = self._looking is None or self._looking.done()
        if self._looking is None or (done and time.monotonic() - self._looked_at > max(recent, LOOK_EVERY)):
            self._looking = asyncio.create_task(self._look(), name="glance")
        return await asyncio.shield(self._looking)

    async def _look(self) -> Glance:
        if self._asking is None and time.monotonic() - self._lags_at > LAG_EVERY:
            self._asking = asyncio.create_task(self._ask_kafka(), name="lag")
        async with httpx.AsyncClient(timeout=ANSWER_WITHIN, trust_env=False) as http:
            rooms = await asyncio.gather(*(self._room(http, name, url) for name, url in self._rooms.items()))
        if self._asking:
            await asyncio.wait([self._asking], timeout=ANSWER_WITHIN)
        self._looked_at = time.monotonic()
        tiles = [tile for of_room in rooms for tile in of_room]
        lags = [(lag, _lateness(lag)) for lag in self._lags]
        of_targets = [tile for tile in tiles if tile.target]
        return Glance(
            [tile for tile in tiles if not tile.target],
            lags,
            self._kafka_says,
            of_targets,
            self._letters.counts() if self._letters.current else None,
            self._letters.more,
        )

    async def _room(self, http: httpx.AsyncClient, name: str, url: str) -> list[Room]:
        """Return the room's tile, and one for each target it serves."""
        found = await ask(http, url)
        if not found.answered:
            return [Room(name, "wrong", "does not answer", entry=runbook.AWAY)]
        now = time.monotonic()
        before, self._before[name] = self._before.get(name), (now, found)
        if before and (now - before[0] > STALE or before[1].answered != found.answered):
            before = None
        earlier, seconds = (before[1].samples, now - before[0]) if before else (None, 0.0)
        of_targets = targets(earlier) if earlier is not None else {}
        tiles = [
            replace(_tile(target, figures(samples, of_targets.get(target), seconds), "takes what comes"), target=True)
            for target, samples in targets(found.samples).items()
        ]
        return [_room(name, found, figures(found.samples, earlier, seconds)), *tiles]

    async def _ask_kafka(self) -> None:
        try:
            async with asyncio.timeout(LAG_WITHIN), Lags(self._kafka) as lags:
                self._lags = await lags.read()
            self._kafka_says = ""
        except (KafkaError, OSError, TimeoutError):
            self._lags, self._kafka_says = [], AWAY  # an old lag must not pass for one of now
        finally:
            self._lags_at = time.monotonic()
            self._asking = None


def _room(name: str, found: Answer, shown: list[Figure]) -> Room:
    if found.silent:
        return Room(name, "wrong", f"{found.silent} of {found.asked} does not answer", shown, runbook.AWAY)
    if found.not_ready:
        return Room(name, "wrong", found.not_ready, shown, runbook.AWAY)
    away = [target for target, samples in targets(found.samples).items() if samples.get(UNAVAILABLE)]
    tile = _tile(name, shown, "ready" if found.asked == 1 else f"{found.asked} ready")
    return (
        replace(tile, says=f"cannot reach {', '.join(away)}"[:200])
        if away and tile.entry == runbook.UNREACHED
        else tile
    )


def _tile(name: str, shown: list[Figure], well: str) -> Room:
    """Make a tile that says the first thing that is wrong, or that all is well."""
    wrong = next((each for each in shown if each.entry), None)
    if wrong is None:
        return Room(name, "well", well, shown)
    return Room(name, "wrong" if wrong.bad else "watch", wrong.label, shown, wrong.entry)


def _lateness(lag: Lag) -> State:
    if lag.lost:
        return "wrong"
    if lag.oldest is None:  # so few may be transaction markers, where nothing waits
        return "watch" if lag.records > FEW else "well"
    if lag.oldest < LATE:
        return "well"
    return "watch" if lag.oldest < TOO_LATE else "wrong"
