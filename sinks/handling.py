"""What reading and delivering know of each other."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from sinks.receipts import Placed
from sinks.window import Window

Handled = Literal["unmatched", "spared", "settled"]
"""No rule wants it; it has a receipt already; it has one now."""


class LetGo(Exception):
    """What is in hand is no longer ours to deliver, or the sink is asked to stop."""


class Ended(NamedTuple):
    """A record that came to its end, and how."""

    record: Placed
    handled: Handled


class Grip(Protocol):
    """What the reading side does for whoever delivers; both raise LetGo."""

    async def pause(self, seconds: float) -> None:
        """Wait some seconds, less when something new arrives."""

    async def confirm(self, records: Sequence[Placed], *, mark: bool = False) -> None:
        """Make sure that the records are still ours, before they are posted; with `mark` write down that they are."""


class Handler(Protocol):
    """What is done with the records that were read."""

    @property
    def idle(self) -> bool:
        """Whether nothing is open."""

    async def step(self, window: Window, backlog: int = 0, *, crowded: bool = False) -> list[Ended]:
        """Do the next thing with the window and return what came to its end; what the grip raises is passed on.

        `backlog` is what waits in the topic besides, `crowded` that the first open record must come to its end now.
        """

    async def finish(self) -> list[Ended]:
        """Let what is on its way land and write down what was posted, for the partitions are given away."""

    async def cancel(self) -> None:
        """Give up what is on its way: nobody waits for it any more."""

    def rest(self) -> None:
        """Nothing waits."""

    def forget(self) -> None:
        """Let go what is open: it comes again, to whoever owns the partitions next."""

    def check(self) -> None:
        """Raise NotReady when it is better to stop."""
