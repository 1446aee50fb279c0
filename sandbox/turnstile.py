"""A process of its own before the simulated API, which notes when each request arrives: the API's own loop may be late.

`python -m sandbox.turnstile PORT TARGET` relays PORT to TARGET, both on the loopback address.
"""

import asyncio
import contextlib
import re
import sys
import time

from sandbox.serving import HOST

ARRIVED = "x-arrived"
"""Header added to each request: when its head was complete (seconds of the machine's monotonic clock)."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


async def relay(port: int, target: int) -> None:
    """Relay until cancelled."""

    async def visitor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # either side may hang up at any time
            back, forth = await asyncio.open_connection(HOST, target)
            ways = {asyncio.ensure_future(_requests(reader, forth)), asyncio.ensure_future(_answers(back, writer))}
            done, open_ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in open_:
                way.cancel()
            forth.close()
            await asyncio.gather(*done)
        writer.close()

    async with await asyncio.start_server(visitor, HOST, port) as server:
        await server.serve_forever()


async def _requests(reader: asyncio.StreamReader, forth: asyncio.StreamWriter) -> None:
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        forth.write(line + f"\r\n{ARRIVED}: {time.monotonic():.6f}\r\n".encode() + rest)
        if length := _LENGTH.search(head):
            forth.write(await reader.readexactly(int(length[1])))
        await forth.drain()


async def _answers(back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await back.read(65_536):
        writer.write(part)
        await writer.drain()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(relay(*map(int, sys.argv[1:])))
