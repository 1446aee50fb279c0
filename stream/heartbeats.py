"""Heartbeats that the group answered: what tells a worker that its partitions are still its own.

aiokafka calls no listener when a member's heartbeats fail for longer than its session: the group gives its partitions
to others, and it goes on until it can rejoin.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any


def listen(coordinator: Any, heard: Callable[[float], None], clock: Callable[[], float] = time.monotonic) -> None:
    """Call `heard` with the time at which a heartbeat was sent, once its answer says that we are a member."""
    ask: Callable[[], Awaitable[bool]] = coordinator._do_heartbeat  # noqa: SLF001 - no public way to hear of it

    async def asked() -> bool:
        sent = clock()  # the answer may be read much later, by a process that slept meanwhile
        known = await ask()
        if known:
            heard(sent)
        return known

    coordinator._do_heartbeat = asked  # noqa: SLF001
