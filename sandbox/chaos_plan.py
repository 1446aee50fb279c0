"""Which faults a chaos run causes, drawn from its seed: four tracks side by side, each one fault after the other."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Fault:
    """One thing to be broken; times are seconds."""

    kind: str
    after: float
    """Calm before it, counted from the end of the fault before."""
    lasts: float
    """How long the broken thing stays broken, where that is for us to say."""
    victim: int
    """Which of those that are there, counted round."""
    worse: bool = False
    """With a second fault in its middle, where the kind knows one."""


@dataclass(frozen=True)
class Track:
    """What one track may do: kinds with their weights, how long between them, how long each lasts."""

    kinds: Mapping[str, float]
    after: tuple[float, float]
    lasts: tuple[float, float]
    opening: str = ""
    """The kind that comes first, so that a short run has it too."""


TRACKS: Mapping[str, Track] = {
    "workers": Track(
        {"zombie": 4, "kill": 3, "terminate": 2, "leave": 1.5, "join": 1.5}, (2, 7), (1, 6), opening="zombie"
    ),
    "brokers": Track({"broker-kill": 3, "broker-pause": 1}, (6, 20), (1, 8)),
    "api": Track(
        {"api-error": 3, "api-limit": 1, "api-hang": 1, "api-refused": 0.5}, (15, 90), (0, 0), opening="api-error"
    ),
    "topics": Track({"produce-error": 1}, (20, 80), (4, 9)),
}
"""`workers` holds what the group must bear, `brokers` at most one of three nodes, `api` wrong answers, `topics` a
refusal no producer may retry."""

WORSE = 0.25
"""Share of the faults that get a second one in their middle."""


def faults(seed: int, name: str) -> Iterator[Fault]:
    """Yield the faults of one track without end; the same seed gives the same ones."""
    track, random = TRACKS[name], Random(f"chaos {seed} {name}")
    kind = track.opening
    while True:
        drawn = random.choices(list(track.kinds), list(track.kinds.values()))[0]
        yield Fault(
            kind or drawn,
            after=random.uniform(*track.after),
            lasts=random.uniform(*track.lasts),
            victim=random.randrange(1_000_000),
            worse=random.random() < WORSE,
        )
        kind = ""
