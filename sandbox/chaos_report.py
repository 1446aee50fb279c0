"""What a chaos run comes to: one line of figures, the findings, and an exit code that cannot be misread."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sandbox.oracle import Verdict

GOOD, WRONG, PROVED_NOTHING = 0, 1, 3
"""Exit codes; 2 is for what a person must put right before it can run."""
SECONDS_PER_ZOMBIE = 120.0
"""A ten-minute run needs five."""
ALLOWED_REQUESTS = 5
"""Requests in any second, by the vendor's guidance."""
SHOWN = 20
"""Findings shown of each sort; the counts are complete."""


@dataclass(frozen=True)
class Result:
    """One finished run."""

    verdict: Verdict
    duration: float
    """Seconds in which faults were caused."""
    faults: Counter[str] = field(default_factory=Counter)
    zombies: int = 0
    blocks: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Why the firewall blocked, and how often."""
    max_requests: int = 0
    busiest: Sequence[float] = ()
    """When those of the fullest second arrived (seconds)."""
    left: int = 0
    """Records the stream had not finished when waiting for it ended; -1: nobody knows."""
    exits: Counter[int] = field(default_factory=Counter)

    def wrong(self) -> list[str]:
        """Return everything that must not be, a sentence each."""
        verdict = self.verdict
        counts = {
            "missing": len(verdict.missing),
            "invented": len(verdict.invented),
            "doubled": len(verdict.doubled),
            "reordered": len(verdict.reordered),
            "firewall blocks": self.blocks,
            "events whose alert never followed": verdict.pending,
        }
        wrong = [f"{name}: {number}" for name, number in counts.items() if number]
        if self.max_requests > ALLOWED_REQUESTS:
            wrong.append(
                f"the Alert API was asked {self.max_requests} times in one second, {ALLOWED_REQUESTS} are allowed; "
                f"they came at {', '.join(f'{at:.3f}' for at in self.busiest)} s"
            )
        wrong += [f"the firewall's reason: {reason}, {times} times" for reason, times in self.reasons.items()]
        if self.left:
            wrong.append(f"the stream did not finish: lag {self.left}")
        return wrong

    def proves_nothing(self) -> str:
        """Return why a run without findings says little, or nothing."""
        if not self.verdict.unique:
            return "nothing was sent"
        needed = int(self.duration / SECONDS_PER_ZOMBIE)
        if self.zombies < needed:
            return f"{self.zombies} zombies in {self.duration:g} s, {needed} are needed to prove anything"
        return ""

    @property
    def code(self) -> int:
        """The exit code."""
        return WRONG if self.wrong() else PROVED_NOTHING if self.proves_nothing() else GOOD

    def line(self) -> str:
        """Return the figures as the last line has them."""
        verdict = self.verdict
        return (
            f"faults={self.faults.total()} zombies={self.zombies} missing={len(verdict.missing)} "
            f"invented={len(verdict.invented)} doubled={len(verdict.doubled)} reordered={len(verdict.reordered)} "
            f"max_requests_in_any_1s={self.max_requests} blocks={self.blocks}"
        )

    def lines(self) -> Iterator[str]:
        """Yield what a person wants to know beside the figures."""
        verdict = self.verdict
        yield (
            f"sent {verdict.accepted} records, {verdict.unique} distinct events; "
            f"found {verdict.enriched} enriched, {verdict.dead_letters} dead letters"
        )
        yield "faults: " + ", ".join(f"{kind} {number}" for kind, number in sorted(self.faults.items()))
        yield "workers ended with: " + (
            ", ".join(f"code {code} {number} times" for code, number in sorted(self.exits.items())) or "nothing"
        )
        for name in ("missing", "invented", "doubled", "reordered"):
            found = getattr(verdict, name)
            yield from (f"{name}: {each}" for each in found[:SHOWN])
            if len(found) > SHOWN:
                yield f"{name}: and {len(found) - SHOWN} more"
        yield from (f"WRONG: {each}" for each in self.wrong())
        if why := self.proves_nothing():
            yield f"This run proves nothing: {why}."
