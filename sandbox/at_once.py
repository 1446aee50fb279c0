"""Starts that mostly wait, made at the same time."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from events.errors import NotReady


async def at_once(starts: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await all of them; the first that fails ends the others.

    Raises NotReady of the first that is not ready.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            for start in starts:
                tasks.create_task(start)
    except* NotReady as errors:
        raise errors.exceptions[0] from None
