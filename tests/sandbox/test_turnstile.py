"""The turnstile lets every request through and says when it came, however late the API behind it is."""

import asyncio
import sys
import time

from fastapi import FastAPI, Request

from sandbox import turnstile
from sandbox.chaos_site import free_port
from sandbox.firewall import Firewall
from sandbox.serving import HOST, serving

STALL = 1.0


def request(path, body):
    return f"POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def connected(port):
    while True:
        try:
            return await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(0.05)


def test_what_comes_while_the_api_stands_still_is_noted_when_it_came():
    app, came, bodies = FastAPI(), [], []

    @app.post("/{path}")
    async def answer(path: str, request: Request) -> None:
        came.append(float(request.headers[turnstile.ARRIVED]))
        bodies.append(len(await request.body()))
        if path == "slow":
            time.sleep(STALL)  # noqa: ASYNC251 - the loop itself is to stand still

    async def scenario():
        port = free_port()
        async with serving(app) as base:
            argv = ("-m", "sandbox.turnstile", str(port), base.rpartition(":")[2])
            process = await asyncio.create_subprocess_exec(sys.executable, *argv)
            try:
                visits = [await connected(port) for _ in range(3)]
                for (_, writer), path in zip(visits, ("/slow", "/a", "/b"), strict=True):
                    writer.write(request(path, b"x" * 1000) * 2)
                for reader, writer in visits:
                    for _ in range(2):
                        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
                        await reader.readexactly(len(b"null"))
                    writer.close()
            finally:
                process.terminate()
                await process.wait()

    asyncio.run(asyncio.wait_for(scenario(), 60))
    assert bodies == [1000] * 6
    assert max(came) - min(came) < STALL


def test_the_firewall_counts_by_when_requests_came():
    firewall = Firewall(clock=lambda: 100.0)
    for number in range(8):
        firewall.admit("one", 90.0 + number / 4)
    assert firewall.stats.max_requests_in_any_1s == 4
