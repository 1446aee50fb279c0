"""A bar that says how far something is."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ops.scan import Progress as Passed


class Bar:
    """A bar on a terminal, and nothing elsewhere; `show` takes how much has passed, and of how much."""

    def __init__(self, title: str) -> None:
        columns = (TextColumn(title), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self.show: Passed = self._show

    def __enter__(self) -> Self:
        self._progress.start()
        self._task = self._progress.add_task("")
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def _show(self, passed: int, total: int) -> None:
        self._progress.update(self._task, completed=passed, total=total)
