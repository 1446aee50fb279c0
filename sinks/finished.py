"""Which records of one partition came to their end, so that they may do so in any order and a crash repeats none."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable

CROWDED = 300
"""Runs that a map surely holds: each takes at most a dozen characters."""

POSTING = "!"
"""Before what is being posted."""

MAX_TEXT = 3980
"""Characters of a map: commit metadata also holds a count, we use 4,000, and the broker takes 4,096 bytes."""


class Progress:
    """What of one partition was read, what of that is still open, and what above the first open record is finished."""

    def __init__(self, base: int, finished: str = "") -> None:
        self.position = base
        self._open: OrderedDict[int, None] = OrderedDict()
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._posting: set[int] = set()
        head, _, posting = finished.partition(POSTING)
        self._cut_off = decode(base, f"{head.partition(':')[0]}:{posting}")
        for start, end in decode(base, finished):
            self._finish(start, end)

    @property
    def base(self) -> int:
        """Return the lowest offset that is not finished: what may be committed."""
        low = next(iter(self._open), self.position)
        index = bisect_right(self._starts, low) - 1
        return max(low, self._ends[index]) if not self._open and index >= 0 else low

    def read(self, offset: int) -> bool:
        """Note that a record was read; False when it is finished or known already."""
        if offset < self.position:
            return False
        self.read_to(offset)
        self.position = offset + 1
        if offset in self:
            return False
        self._open[offset] = None
        return True

    def read_to(self, position: int) -> None:
        """Note that there is no record up to a position: markers of transactions and what was aborted take offsets."""
        if position > self.position:
            self._finish(self.position, position)
            self.position = position

    def post(self, offset: int) -> None:
        """Note that a record is about to be posted where a repeat would be seen."""
        self._posting.add(offset)

    def was_posting(self, offset: int) -> bool:
        """Say whether a sink was cut off while it posted the record, by what was committed."""
        return bool(self._cut_off) and any(start <= offset < end for start, end in self._cut_off)

    def finish(self, offset: int) -> None:
        """Note that a record came to its end."""
        self._posting.discard(offset)
        self._open.pop(offset, None)
        self._finish(offset, offset + 1)

    def pass_over(self, offset: int) -> None:
        """Note that a record needs no telling: it moves the base, but takes no room in the map."""
        self._open.pop(offset, None)

    @property
    def crowded(self) -> bool:
        """Whether so much is finished out of order that the first open record should come to its end."""
        return len(self._starts) > CROWDED

    def __contains__(self, offset: int) -> bool:
        index = bisect_right(self._starts, offset) - 1
        return index >= 0 and offset < self._ends[index]

    def encode(self, limit: int = MAX_TEXT) -> str:
        """Write the finished runs above the base as `base:gap.length,…` in hexadecimal; the highest go when too long.

        After a `!` follow, in the same form, the runs of what is being posted.
        """
        base = self.base
        self._prune(base)
        finished = _write(zip(self._starts, self._ends, strict=True), base, limit - len(f"{base:x}:"))
        posting = _write(_runs(one for one in self._posting if one >= base), base, limit - len(f"{base:x}:{finished}!"))
        text = f"{finished}{POSTING}{posting}" if posting else finished
        return f"{base:x}:{text}" if text else ""

    def _finish(self, start: int, end: int) -> None:
        left = bisect_right(self._starts, start) - 1
        if left < 0 or self._ends[left] < start:
            left += 1
        right = bisect_right(self._starts, end)
        if left < right:
            start, end = min(start, self._starts[left]), max(end, self._ends[right - 1])
        self._starts[left:right] = [start]
        self._ends[left:right] = [end]

    def _prune(self, base: int) -> None:
        gone = bisect_right(self._ends, base)
        del self._starts[:gone], self._ends[:gone]


def _write(runs: Iterable[tuple[int, int]], base: int, limit: int) -> str:
    text, last = "", base
    for start, end in runs:
        run = f"{start - last:x}.{end - start:x},"
        if len(text) + len(run) > limit:
            break
        text, last = text + run, end
    return text.removesuffix(",")


def _runs(offsets: Iterable[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for offset in sorted(offsets):
        if runs and runs[-1][1] == offset:
            runs[-1] = runs[-1][0], offset + 1
        else:
            runs.append((offset, offset + 1))
    return runs


def decode(base: int, text: str) -> list[tuple[int, int]]:
    """Return the finished runs of a map; one that is not readable, or was made for another base, says nothing."""
    head, _, runs = text.partition(POSTING)[0].partition(":")
    try:
        if not runs or int(head, 16) != base:
            return []
        found, last = [], base
        for run in runs.split(","):
            gap, length = (int(part, 16) for part in run.split("."))
            if gap < 0 or length <= 0:
                return []
            found.append((last + gap, last + gap + length))
            last += gap + length
    except ValueError:
        return []
    return found
