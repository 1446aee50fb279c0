"""How `tocsin topics migrate` speaks: what is going on in one line on a terminal, what is done in lines that stay."""

import asyncio
from collections.abc import Collection

from aiokafka.errors import KafkaError
from rich.console import Console
from rich.status import Status

from events.errors import NotReady
from events.settings import KafkaSettings
from ops import growth
from sinks.main import load
from sinks.settings import SinksSettings
from stream.settings import StreamSettings

console = Console(stderr=True, highlight=False, soft_wrap=True)


class Screen:
    """A line that moves, on a terminal; elsewhere only what is new in kind."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._kind = ""

    def say(self, line: str) -> None:
        """Print a line that stays."""
        console.print(line, markup=False)
        self._kind = ""

    def show(self, line: str) -> None:
        """Print what is going on just now."""
        self._status.update(line)
        kind = "".join(each for each in line if not each.isdigit() and each != ",")
        if not console.is_terminal and kind != self._kind:
            console.print(line, markup=False)
        self._kind = kind


def run(kafka: KafkaSettings, partitions: int, *, without: Collection[str], no_targets: bool, undo: bool) -> None:
    """Migrate, or undo what was begun.

    Raises NotReady.
    """
    with console.status("Looking at the cluster.") as status:
        screen = Screen(status)
        if undo:
            asyncio.run(growth.undo(kafka, screen))
            return
        if partitions < 1:
            raise NotReady("Say how many partitions there shall be, for example `--partitions 24`.")
        targets = [] if no_targets else list(load(SinksSettings()).targets)
        if strangers := sorted(set(without) - set(targets)):
            raise NotReady(f"There is no target {strangers[0]!r}; the rules have: {', '.join(targets) or 'none'}.")
        window = StreamSettings().dedupe_window
        try:
            asyncio.run(growth.migrate(kafka, partitions, targets, window, screen, without=without))
        except KafkaError as error:
            raise NotReady(f"Kafka did not do what it was asked ({error}): run this again.") from error
