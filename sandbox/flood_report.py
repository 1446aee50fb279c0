"""What a flood comes to: who was named when, what was repeated, and whether every limit was kept. Pure."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from events.records import Receipt
from sandbox.receivers import Post
from sinks.limits import most_in_any

WINDOW, ALLOWED = 300.0, 25
"""Seconds, and how many posts a Teams connection takes in any of them."""

DIGEST = "digest-"
_COUNT = re.compile(r"([\d,]+) events? in one message")
_NAME = re.compile(r"AL\d{10}")


@dataclass(frozen=True)
class Sent:
    """An event that was published: its short id, and when its transaction was committed (Unix seconds)."""

    short_id: str
    at: float
    urgent: bool


@dataclass
class Flood:
    """Everything that was seen."""

    sent: Mapping[str, Sent]
    posts: Sequence[Post]
    receipts: Sequence[Receipt]
    kills: int = 0
    _named: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for post in self.taken:
            for name in _NAME.findall(orjson.dumps(post.card).decode()):
                self._named.setdefault(name, post.at)

    @property
    def taken(self) -> list[Post]:
        """The posts that were answered as taken."""
        return [post for post in self.posts if post.shown]

    def delays(self) -> list[float]:
        """Return for each urgent event the seconds until a card named it; infinite for one that none named."""
        urgent = [one for one in self.sent.values() if one.urgent]
        return [self._named.get(one.short_id, float("inf")) - one.at for one in urgent]

    def missing(self) -> int:
        """Return how many events have no receipt, or are urgent and were never named."""
        told = {receipt.event_id for receipt in self.receipts}
        unnamed = {name for name, one in self.sent.items() if one.urgent and one.short_id not in self._named}
        return len((self.sent.keys() - told) | unnamed)

    def in_digests(self) -> int:
        """Return how many events went out as part of a digest."""
        return len({receipt.event_id for receipt in self.receipts if receipt.outcome == "digested"})

    def repeated(self) -> tuple[int, int]:
        """Return how many digests were posted whose events were told again, and how many single events were."""
        receipts = Counter(receipt.digest_id for receipt in self.receipts if receipt.digest_id)
        posted: dict[str, list[int]] = {}
        singles: Counter[str] = Counter()
        for post in self.taken:
            if (name := post.event_id or "").startswith(DIGEST):
                posted.setdefault(name, []).append(_count(post.card))
            else:
                singles[name] += 1
        digests = sum(len(counts) - 1 + (receipts[name] < counts[0]) for name, counts in posted.items())
        return digests, sum(count - 1 for count in singles.values())

    def most_posts(self) -> int:
        """Return the most posts in any WINDOW, refused ones too."""
        return most_in_any([post.at for post in self.posts], WINDOW)

    def wrong(self) -> list[str]:
        """Return everything that must not be, a sentence each."""
        digests, singles = self.repeated()
        found = {
            "missing": self.missing(),
            "posts beyond the limit": max(self.most_posts() - ALLOWED, 0),
            "digests repeated beyond one per kill": max(digests - self.kills, 0),
            "single events repeated beyond one per kill": max(singles - self.kills, 0),
            "posts that were refused": len(self.posts) - len(self.taken),
        }
        return [f"{name}: {count}" for name, count in found.items() if count]

    def line(self) -> str:
        """Return the figures as the last line of the run."""
        delays, (digests, singles) = self.delays(), self.repeated()
        figures: dict[str, Any] = {}
        if len(delays) == len(self.sent):
            figures |= {"first_s": f"{min(delays):.2f}", "all_named_within_s": f"{max(delays):.2f}"}
        elif delays:
            figures |= {"urgent_delay_s": f"{max(delays):.2f}"}
        figures |= {"in_digests": self.in_digests(), "posts_in_any_300s": self.most_posts(), "missing": self.missing()}
        if self.kills:
            figures |= {"kills": self.kills, "repeated_digests": digests, "repeated_events": singles}
        return " ".join(f"{name}={value}" for name, value in figures.items())


def _count(card: dict[str, Any] | None) -> int:
    found = _COUNT.search(orjson.dumps(card).decode())
    return int(found[1].replace(",", "")) if found else 0
