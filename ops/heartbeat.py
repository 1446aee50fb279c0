"""The call an outside service misses when the watch is gone, or cannot tell what it has to: a dead man's switch."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import structlog
from pydantic import SecretStr

from ops import watch_metrics as metrics
from sinks.destination import Unavailable
from sinks.posting import Poster

WITHIN = 10.0
GOOD = range(200, 300)

log = structlog.get_logger()


class Heartbeat:
    """Ask for an address (GET) while the watch does its part, no more often than agreed; `async with` it."""

    def __init__(self, url: SecretStr, every: float, poster: Callable[[SecretStr], Poster] = Poster) -> None:
        """Take the address, empty for none, and the seconds between two calls."""
        self._url = url
        self._every = every
        self._poster = poster(url) if url.get_secret_value() else None
        parts = urlsplit(url.get_secret_value())
        self._rest = ("" if parts.path.rstrip("/") else "/") + (f"?{parts.query}" if parts.query else "")
        self._last: float | None = None
        self._said = ""

    async def __aenter__(self) -> Self:
        self._resources = AsyncExitStack()
        if self._poster:
            await self._poster.open(self._resources)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._resources.aclose()

    async def beat(self, now: float, *, well: bool) -> None:
        """Call when it is time and the watch does its part; a service that is away is told once in the log."""
        if self._poster is None or not well or (self._last is not None and now - self._last < self._every):
            return
        self._last = now
        try:
            answer = await self._poster.get(self._rest, {}, limit=1024, deadline=WITHIN)
            trouble = "" if answer.status in GOOD else f"HTTP {answer.status}"
        except Unavailable as error:
            trouble = error.reason
        metrics.BEATS.labels("failed" if trouble else "answered").inc()
        if trouble != self._said:
            log.warning("heartbeat_unheard", reason=trouble) if trouble else log.info("heartbeat_heard")
            self._said = trouble
