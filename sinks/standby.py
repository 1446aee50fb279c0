"""The target that stands in for another one: urgent events that waited too long go there, marked as such."""

from dataclasses import replace

import structlog

from events.records import EnrichedEvent
from sinks.destination import Delivered, Undeliverable
from sinks.outlet import Outlet, named
from sinks.summary import FALLBACK_FOR

PATIENCE = 60.0
"""Seconds until a fallback target that refused an event is asked again: the same one would be refused each time."""

log = structlog.get_logger()


class Standby:
    """Tell a fallback target what another one could not be told."""

    def __init__(self, instead_of: str, outlet: Outlet, after: float) -> None:
        """Take the target it stands in for, and after how many seconds."""
        self._instead_of = instead_of
        self._outlet = outlet
        self._after = after
        self._told = 0
        self._refused_until = float("-inf")

    @property
    def marks_attempts(self) -> bool:
        """Whether what it is told is written down before, as the same twice would be two messages there."""
        return self._outlet.marks_attempts

    def due(self, since: float) -> bool:
        """Say whether what waits since a moment (Unix seconds) goes this way now."""
        waited = self._outlet.clock().timestamp() - since
        willing = self._outlet.monotonic() >= self._refused_until and not self._outlet.wait(urgent=True)
        return waited >= self._after and willing

    async def tell(self, event: EnrichedEvent) -> Delivered | None:
        """Post once, marked "sent by fallback"; None when this target does not take it either."""
        if not self._outlet.claim(urgent=True):
            return None
        result = await self._outlet.attempt(event.model_copy(update={FALLBACK_FOR: self._instead_of}))
        if isinstance(result, Undeliverable):
            self._refused_until = self._outlet.monotonic() + PATIENCE
            to = {"target": self._instead_of, "fallback": self._outlet.target}
            log.warning("fallback_refused", **to, reason=result.reason, **named(event))
        if not isinstance(result, Delivered):
            return None
        self._told += 1
        if self._told == 1:
            log.warning("told_by_fallback", target=self._instead_of, fallback=self._outlet.target, **named(event))
        return replace(result, outcome="by_fallback", status=f"{self._outlet.target}: {result.status}")

    def back(self) -> None:
        """Note that the other target takes events again."""
        if self._told:
            log.info("fallback_ends", target=self._instead_of, fallback=self._outlet.target, told=self._told)
            self._told = 0
