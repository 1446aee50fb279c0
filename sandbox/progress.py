"""How a long download shows itself: a bar on a terminal, a few plain lines elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]
"""Called with the number of bytes that came in; from any thread."""


@contextmanager
def shown(title: str, total: int) -> Iterator[Advance]:
    """Show on standard error how far `total` bytes have come."""
    print(title, file=sys.stderr, flush=True)
    with _bar(total) if sys.stderr.isatty() else _lines(total) as advance:
        yield advance


@contextmanager
def _bar(total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.advance(task, count)


@contextmanager
def _lines(total: int) -> Iterator[Advance]:
    done, said = 0, 0

    def advance(count: int) -> None:
        nonlocal done, said
        done += count
        quarter = min(4 * done // total, 4)
        if quarter > said:
            said = quarter
            print(f"  {25 * quarter} % of {total / 1e6:.0f} MB", file=sys.stderr, flush=True)

    yield advance
