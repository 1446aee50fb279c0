"""Orders to a simulated server: answer the next requests wrongly, or not at all."""

from collections import deque
from dataclasses import dataclass

from starlette.requests import Request

HANG = 0
"""The status of an answer that never comes."""


@dataclass(frozen=True)
class Fault:
    """One wrong answer; `after` says whether the request takes effect all the same."""

    status: int
    retry_after: float | str | None = None
    after: bool = False

    def headers(self) -> dict[str, str]:
        """Return the headers of the answer."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class Faults:
    """The wrong answers still to be given, first ordered first given."""

    def __init__(self) -> None:
        self._orders: deque[tuple[Fault, int]] = deque()

    def answer_with(
        self, status: int, *, retry_after: float | str | None = None, times: int = 1, after: bool = False
    ) -> None:
        """Answer the next requests with this status; with `after`, once they have taken effect."""
        if times > 0:
            self._orders.append((Fault(status, retry_after, after), times))

    def hang(self, *, times: int = 1, after: bool = False) -> None:
        """Leave the next requests without an answer until the client gives up."""
        self.answer_with(HANG, times=times, after=after)

    def clear(self) -> None:
        """Answer rightly from now on."""
        self._orders.clear()

    def next(self) -> Fault | None:
        """Take the order for the request at hand."""
        if not self._orders:
            return None
        fault, times = self._orders.popleft()
        if times > 1:
            self._orders.appendleft((fault, times - 1))
        return fault


async def until_gone(request: Request) -> None:
    """Wait until the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
