"""What a destination is: two verbs, two ways to fail, and settings of its own."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from events.records import EnrichedEvent
from sinks.limits import Allowance, Limit


class Unavailable(Exception):
    """The target cannot take the event now; the same event may be sent again, not before `retry_after` seconds."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Gone(Unavailable):
    """The address says it is gone for good: the target pauses until it is started anew, and nothing is lost."""


class Undeliverable(Exception):
    """The target will never take this event; it is a dead letter."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Delivered:
    """What a target answered to an event it took."""

    status: str
    run_id: str | None = None
    outcome: Literal["delivered", "accepted", "by_fallback"] = "delivered"
    left: Allowance | None = None
    """What the server says may still be posted."""


class TargetSettings(BaseModel):
    """The settings of one entry under `targets:`; a destination adds its own fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


Original = Callable[[EnrichedEvent], Awaitable[bytes | None]]
"""Returns a webhook body byte for byte; None where it is not to be had (any more)."""

S_co = TypeVar("S_co", bound=TargetSettings, covariant=True)


class Destination(ABC, Generic[S_co]):
    """Take events to one kind of place; one file on the shelf, used as an async context manager.

    It never sleeps, loops, counts or logs failures: the runner does, once, for all. What it opens it hands to
    `self.resources`, which closes it. Each class says how it bears the same event twice.
    """

    Settings: ClassVar[type[TargetSettings]]
    tells_people: ClassVar[bool] = True
    """Whether a person is disturbed by what comes: a replay leaves those alone unless it is told to."""
    shares: ClassVar[tuple[str, ...]] = ("url",)
    """The settings that make up a connection: targets in which they are the same share its budget."""
    at_once: ClassVar[int] = 1
    """How many posts may be on their way at the same time; above one, `deliver` must bear it. Order per alert holds."""
    marks_attempts: ClassVar[bool] = True
    """Whether a post is written down before it is made: the same event twice is two messages, and a crash may cut it off."""
    named: ClassVar[int] = 10
    """How many events a digest of this type can name one by one."""

    original: Original | None = None
    """Where to ask for the body of an event as it was posted; None where nobody gave one."""

    def __init__(self, settings: S_co) -> None:
        self.settings = settings
        self.resources = AsyncExitStack()

    async def open(self) -> None:
        """Make the connections `deliver` needs."""

    @property
    def wants_original(self) -> bool:
        """Whether `original` is to be given."""
        return False

    def limits(self) -> tuple[Limit, ...]:
        """Return how often the target may be posted to; nothing where it does not say."""
        return ()

    @abstractmethod
    async def deliver(self, event: EnrichedEvent) -> Delivered:
        """Send one event.

        Raises Unavailable when it may be tried again, Undeliverable when it never can be taken.
        """

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.resources.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.resources.aclose()
