"""`tocsin simulate` as a person runs it: it posts webhooks, reports a hook that is away, and stops when told."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time

import httpx
import orjson
import pytest
from fastapi import FastAPI, Request, Response

from events.codec import decode_webhook
from events.errors import NotReady
from sandbox import simulate
from sandbox.serving import serving
from sandbox.tenant import Tenant
from sandbox.traffic import Traffic

BEARER = {"Authorization": "Bearer simulated-tenant-key"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def hook(answers: list[int]) -> tuple[FastAPI, list[bytes]]:
    """Return a hook that gives these answers, then 200, and what it got."""
    app, got = FastAPI(), []

    @app.post("/hooks/token")
    async def receive(request: Request) -> Response:
        got.append(await request.body())
        return Response(status_code=answers.pop(0) if answers else 200)

    return app, got


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_bodies_are_posted_one_after_the_other_at_the_rate() -> None:
    app, got = hook([])

    async def post() -> float:
        async with serving(app) as base:
            before = time.monotonic()
            task = asyncio.create_task(simulate.send(Traffic(Tenant(1), 1), f"{base}/hooks/token", rate=50.0))
            await until(lambda: len(got) >= 11)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            return time.monotonic() - before

    assert asyncio.run(post()) >= 10 / 50
    assert decode_webhook(got[0])[0].action == "created"


def test_a_refused_body_is_posted_again_unchanged_until_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "FIRST_PAUSE", 0.01)
    app, got = hook([503, 429, 200, 500])

    async def post() -> None:
        async with serving(app) as base:
            task = asyncio.create_task(
                simulate.send(Traffic(Tenant(1), 1, duplicates=0), f"{base}/hooks/token", rate=500.0)
            )
            await until(lambda: len(got) >= 6)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    asyncio.run(post())
    first, second, third, fourth, fifth, sixth = got[:6]
    assert first == second == third
    assert fourth == fifth
    assert len({first, fourth, sixth}) == 3


def test_a_taken_port_is_said_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(NotReady, match=f"Port {port} .* taken"):
            simulate.run(port=port, rich=False, quirks=[])


def test_a_hook_that_is_no_address_and_an_unknown_quirk_are_refused() -> None:
    with pytest.raises(NotReady, match="whole address"):
        simulate.run(port=free_port(), hook_url="localhost/hooks/x", rich=False, quirks=[])
    with pytest.raises(NotReady, match="known are"):
        simulate.run(port=free_port(), rich=False, quirks=["moody"])


def start(*options: str) -> tuple[subprocess.Popen, int]:
    port = free_port()
    command = [sys.executable, "-m", "ops", "simulate", "--port", str(port), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT), port


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_waits_for_a_hook_serves_what_it_sends_and_stops_cleanly(number: signal.Signals) -> None:
    hook_port = free_port()
    secret = f"http://127.0.0.1:{hook_port}/hooks/token"
    process, port = start("--hook-url", secret, "--rate", "50", "--seed", "7", "--quirk", "html-200=1000")
    app, got = hook([])

    async def meet() -> dict:
        async with httpx.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{port}", headers=BEARER) as client:
            async with asyncio.timeout(20):
                while True:
                    with contextlib.suppress(httpx.TransportError):
                        await client.get("/v1/me")
                        break
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)
            async with serving(app, hook_port):
                await until(lambda: len(got) >= 3)
            uuid = orjson.loads(got[0])["attributes"]["uuid"]
            return {"sent": uuid, "shown": (await client.get(f"/api/v1/sic/alerts/{uuid}")).json()["uuid"]}

    try:
        met = asyncio.run(meet())
    finally:
        process.send_signal(number)
        output, _ = process.communicate(timeout=20)
    assert met["sent"] == met["shown"]
    assert process.returncode == 0, output
    lines = output.decode()
    assert lines.count("hook_away") <= 2, "said once for each trouble, not for each attempt"
    assert "hook_away" in lines
    assert "hook_back" in lines
    assert "simulation_stopped" in lines
    assert "token" not in lines, "the hook's address is a secret"


def test_without_a_seed_every_start_has_its_own_alerts() -> None:
    app, got = hook([])

    def simulated(seed: int | None) -> str:
        got.clear()

        async def first() -> str:
            async with serving(app) as base:
                quirks, place = simulate.Quirks(), ("127.0.0.1", free_port())
                run = simulate._simulate(place, f"{base}/hooks/token", 50.0, seed, rich=False, quirks=quirks)
                task = asyncio.create_task(run)
                await until(lambda: got)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            return orjson.loads(got[0])["attributes"]["uuid"]

        return asyncio.run(first())

    assert simulated(None) != simulated(None)
    assert simulated(4) == simulated(4)
