"""Work with a Kafka client in a task of its own: a client that is stopped while it starts may cancel whoever waits for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

CLOSING = 5.0
"""Seconds to close what was begun; then it is left behind."""


async def contained(work: Coroutine[Any, Any, T], within: float) -> T:
    """Return what the work returns. Raises TimeoutError when that takes more than `within` seconds, or it was cancelled."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=within)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CLOSING)
    if not task.done() or task.cancelled():
        raise TimeoutError
    return task.result()
