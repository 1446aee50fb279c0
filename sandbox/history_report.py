"""What a drill has found, judged: knows no Kafka."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.bodies import Json
from sandbox.history_records import Planted


@dataclass
class Replayed:
    """What one replay was to bring, and what came."""

    expected: set[str]
    got: Counter[str]

    @property
    def came(self) -> int:
        """How many came that were expected."""
        return len(self.expected & self.got.keys())

    @property
    def doubled(self) -> int:
        """How often something came again, or something that was not meant to."""
        return sum(self.got.values()) - self.came


@dataclass
class Drill:
    """Everything seen."""

    planted: Planted
    gaps: list[Json] = field(default_factory=list)
    """What `tocsin reconcile` named."""
    why: dict[str, float] = field(default_factory=dict)
    """Seconds by what was asked."""
    unexplained: list[str] = field(default_factory=list)
    """What `tocsin why` should have said and did not."""
    lost: Counter[str] = field(default_factory=Counter)
    """How often the target was told of the alerts whose webhook was lost."""
    told: Counter[str] = field(default_factory=Counter)
    """How often the target was told of each event, in all."""
    receipts: Replayed = field(default_factory=lambda: Replayed(set(), Counter()))
    replayed: Replayed = field(default_factory=lambda: Replayed(set(), Counter()))
    quiet: float = 0.0
    busy: float = 0.0
    """Seconds from the webhook to the receiver, 99th hundredth, without a replay and with one."""
    left: Mapping[str, int] = field(default_factory=dict)
    """What `tocsin reconcile` still named at the end, by kind."""

    def named(self) -> dict[str, int]:
        """Return how many of the planted gaps were named, by kind."""
        said = {(gap["kind"], name) for gap in self.gaps for name in (gap["event"], gap["alert"], gap["place"])}
        return {kind: sum((kind, name) in said for name in names) for kind, names in self._planted().items()}

    def invented(self) -> list[str]:
        """Return what was named and is no gap."""
        planted = {(kind, name) for kind, names in self._planted().items() for name in names}
        return [
            f"{gap['kind']} {gap['place']}"
            for gap in self.gaps
            if not planted & {(gap["kind"], name) for name in (gap["event"], gap["alert"], gap["place"])}
        ]

    def wrong(self) -> list[str]:
        """Return a line for everything that is not as it should be."""
        named, planted = self.named(), self._planted()
        lines = [f"{kind}: {len(names)} planted, {named[kind]} named" for kind, names in planted.items()]
        lines = [line for line, kind in zip(lines, planted, strict=True) if named[kind] != len(planted[kind])]
        lines += [f"named and not planted: {one}" for one in self.invented()[:20]] + self.unexplained
        webhooks = len(self.planted.webhooks)
        if (mended := self._mended()) != webhooks:
            lines.append(f"{webhooks} webhooks lost, {mended} alerts told of once after catch-up and late webhook")
        if (mended := self._made()) != len(self.planted.enriched):
            lines.append(f"{len(self.planted.enriched)} enriched records lost, {mended} told of once after --mend")
        for what, each in (("withheld receipts", self.receipts), ("backfill", self.replayed)):
            if each.came != len(each.expected) or each.doubled:
                lines.append(f"{what}: {len(each.expected)} expected, {each.came} came, {each.doubled} doubled")
        lines += [f"still named at the end: {n} {kind}" for kind, n in self.left.items() if kind in MENDED]
        return lines

    def line(self) -> str:
        """Return the figures."""
        figures = {
            "why_s": f"{max(self.why.values(), default=0.0):.2f}",
            "gaps_planted": sum(map(len, self._planted().values())),
            "gaps_named": sum(self.named().values()),
            "catchup_mended": self._mended(),
            "enriched_mended": self._made(),
            "receipts_mended": self.receipts.came,
            "replay_expected": len(self.replayed.expected),
            "replay_got": self.replayed.came,
            "replay_doubled": self.replayed.doubled + self.receipts.doubled,
            "live_p99_s": f"{self.quiet:.2f}/{self.busy:.2f}",
            "live_p99_ratio": f"{self.busy / self.quiet:.2f}" if self.quiet else "nan",
        }
        return " ".join(f"{name}={figure}" for name, figure in figures.items())

    def _mended(self) -> int:
        return sum(self.lost[each.uuid] == 1 for each in self.planted.webhooks)

    def _made(self) -> int:
        return sum(self.told[event] == 1 for event in self.planted.enriched)

    def _planted(self) -> dict[str, list[str]]:
        return {
            "lost webhook": [each.uuid for each in self.planted.webhooks],
            "lost enriched record": list(self.planted.enriched),
            "lost archive file": list(self.planted.files),
            "lost receipt": list(self.planted.receipts),
        }


MENDED = {"lost webhook", "lost receipt"}
"""Kinds of gaps there is a command to mend."""
