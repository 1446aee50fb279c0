"""What the rules of one target told of which alert: read back from its receipts, so that a crash forgets nothing."""

from collections import OrderedDict
from datetime import datetime

from events.records import Receipt
from sinks.facts import LastTold, Told, nothing

KEPT = 100_000
"""Alerts remembered per target and rule together; beyond, the one told longest ago is forgotten first."""

_TOLD = frozenset({"delivered", "accepted", "digested", "by_fallback"})


class Memory:
    """By alert and rule, what was told last; an alert is known by the key of its records."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._last: OrderedDict[tuple[bytes, str], LastTold] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last)

    def of(self, key: bytes | None) -> Told:
        """Return what is known of one alert."""
        return nothing if key is None else lambda rule: self._last.get((key, rule))

    def note(self, key: bytes | None, receipt: Receipt) -> None:
        """Remember what a receipt says was told; one that says nothing of its event is of before it did."""
        # What an operator sends again is no news of the alert.
        if receipt.outcome in _TOLD and receipt.replay_id is None and receipt.received_at is not None:
            self.tell(key, receipt.rules, receipt.received_at, receipt.similar)

    def tell(self, key: bytes | None, rules: tuple[str, ...], at: datetime, similar: float | None) -> None:
        """Remember that rules told of an event that came in at a time."""
        if key is None:
            return
        for rule in rules:
            last = self._last.pop((key, rule), LastTold(at, -1))
            now = -1 if similar is None else similar
            self._last[key, rule] = LastTold(max(last.at, at), max(last.similar, now))
        while len(self._last) > self._kept:
            self._last.popitem(last=False)

    def clear(self) -> None:
        """Forget all: the partitions are being handed over."""
        self._last.clear()
