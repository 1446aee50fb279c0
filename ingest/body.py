"""Read a request body: bounded in size and in time."""

import asyncio
import contextlib

from starlette.types import Message, Receive

from events.topics import MAX_BODY
from ingest.answers import GONE, SLOW, TOO_LARGE, Refused

READ_WITHIN = 5.0
"""Seconds a body may take to arrive."""

LINGER = 1.0
"""Seconds to read on after refusing a body."""


async def read(receive: Receive, length: bytes | None) -> bytes:
    """Return the whole body; `length` is the Content-Length header, if there is one.

    Raises Refused for a body over MAX_BODY, one that is slow, and one whose sender hung up.
    """
    if length is not None and length.isdigit() and int(length) > MAX_BODY:
        raise Refused("too_large", TOO_LARGE, unread=True)
    try:
        async with asyncio.timeout(READ_WITHIN):
            return await _read(receive)
    except TimeoutError:
        raise Refused("slow", SLOW) from None


async def _read(receive: Receive) -> bytes:
    message = await _receive(receive)
    body: bytes = message.get("body", b"")
    if not message.get("more_body") and len(body) <= MAX_BODY:
        return body  # nearly always: no copy
    chunks = bytearray(body)
    while len(chunks) <= MAX_BODY and message.get("more_body"):
        message = await _receive(receive)
        chunks += message.get("body", b"")
    if len(chunks) > MAX_BODY:
        raise Refused("too_large", TOO_LARGE, unread=bool(message.get("more_body")))
    return bytes(chunks)


async def _receive(receive: Receive) -> Message:
    message = await receive()
    if message["type"] != "http.request":
        raise Refused("disconnected", GONE)
    return message


async def discard(receive: Receive) -> None:
    """Read on for a moment and keep nothing.

    Closing a connection that has unread bytes resets it, and the sender would never see why it was refused.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER):
            while (await receive()).get("more_body"):
                pass
