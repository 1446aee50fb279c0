"""Orders to a simulated server: answer the next requests wrongly, or not at all."""

from collections import deque
from dataclasses import dataclass

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

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


class Order(BaseModel):
    """A fault as ordered over HTTP; status 0 is no answer at all."""

    status: int = Field(ge=0, le=599)
    retry_after: float | str | None = None
    times: int = Field(1, ge=1, le=10_000)
    after: bool = False


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


def routes(faults: Faults, path: str) -> APIRouter:
    """Return the address at which a tool orders faults: POST {"status": 429, "times": 3, "retry_after": 5}."""
    router = APIRouter()

    @router.post(path, status_code=204)
    async def order(wanted: Order) -> None:
        faults.answer_with(wanted.status, retry_after=wanted.retry_after, times=wanted.times, after=wanted.after)

    return router


async def until_gone(request: Request) -> None:
    """Wait until the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
