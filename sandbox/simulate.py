"""The simulated tenant as a process: its API and receivers on one port, its webhooks to the address it is given."""

import asyncio
import contextlib
import secrets
import signal
from collections.abc import Iterable
from urllib.parse import urlsplit

import httpx
import structlog

from events.errors import NotReady
from sandbox.alert_api import create_app
from sandbox.endpoints import Endpoints
from sandbox.firewall import Firewall
from sandbox.mailbox import Mailbox
from sandbox.quirks import Quirks
from sandbox.receivers import TeamsReceiver
from sandbox.serving import HOST, serving
from sandbox.tenant import Tenant
from sandbox.traffic import Traffic

KEPT_ALERTS = 20_000
KEPT_POSTS = 20_000
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds between attempts to deliver one webhook."""

DOCUMENTED = {"uuid": "3b0f6a52-7d1e-4c7a-9f0b-5a1f2f0c9d11", "short_id": "ALq7Zt3Kx9Pd"}
"""The alert of the README's example, so that posting it shows a whole card."""

log = structlog.get_logger()


def run(
    *,
    port: int,
    host: str = HOST,
    mail_port: int = 0,
    hook_url: str = "",
    rate: float = 0.5,
    seed: int | None = None,
    rich: bool,
    quirks: Iterable[str],
) -> None:
    """Serve a tenant and post `rate` webhooks a second to `hook_url` (none without it), until SIGTERM or Ctrl-C.

    Everything is kept in memory, so a restart begins an empty tenant. Without a seed one is drawn, and its alerts have
    ids that no run before had; with one, the ids are the same every time. Raises NotReady for a port that is taken, a
    quirk that is unknown, an address that is none.
    """
    if hook_url and not urlsplit(hook_url).netloc:
        raise NotReady("--hook-url must be a whole address, such as http://127.0.0.1:8080/hooks/TOKEN.")
    asyncio.run(
        _simulate((host, port), hook_url, rate, seed, rich=rich, quirks=Quirks.parse(quirks), mail_port=mail_port)
    )


async def _simulate(
    place: tuple[str, int],
    hook_url: str,
    rate: float,
    seed: int | None,
    *,
    rich: bool,
    quirks: Quirks,
    mail_port: int = 0,
) -> None:
    seed = secrets.randbits(32) if seed is None else seed
    tenant = Tenant(seed, rich=rich, keep=KEPT_ALERTS)
    tenant.create_alert(oddity="", **DOCUMENTED)
    teams = TeamsReceiver(quirks=quirks, keep=KEPT_POSTS)
    endpoints = Endpoints()
    app = create_app(tenant, Firewall(seed=seed), quirks, teams, endpoints)
    async with serving(app, place[1], place[0]) as base, Mailbox(endpoints).listening(mail_port) as mailing:
        log.info(
            "simulation_started", api=base, page=base, mail_port=mailing, seed=seed, posting=bool(hook_url and rate)
        )
        work = [asyncio.create_task(_until_stopped())]
        if hook_url and rate > 0:
            work.append(asyncio.create_task(send(Traffic(tenant, seed), hook_url, rate)))
        done, left = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for task in done:
            task.result()
    log.info("simulation_stopped")


async def send(traffic: Traffic, hook_url: str, rate: float) -> None:
    """Post what the traffic says, `rate` a second, one after the other and for ever.

    A body that is not answered 2xx is posted again, unchanged, until it is. Whether the real sender does so is not
    documented; were this one to give up, a slow start would look like a loss. What was late is not caught up with.
    """
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await _deliver(client, hook_url, traffic.next().body)
            due = max(due + 1 / rate, loop.time())
            await asyncio.sleep(due - loop.time())


async def _deliver(client: httpx.AsyncClient, hook_url: str, body: bytes) -> None:
    pause, said = FIRST_PAUSE, ""
    while trouble := await _post(client, hook_url, body):
        if trouble != said:
            log.warning("hook_away", host=urlsplit(hook_url).netloc.rpartition("@")[2], trouble=trouble)
            said = trouble
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    if said:
        log.info("hook_back", host=urlsplit(hook_url).netloc.rpartition("@")[2])


async def _post(client: httpx.AsyncClient, hook_url: str, body: bytes) -> str:
    """Return what went wrong, nothing if it went well."""
    try:
        answer = await client.post(hook_url, content=body, headers={"Content-Type": "application/json"})
    except httpx.TransportError as error:
        return type(error).__name__
    return "" if answer.is_success else f"answered {answer.status_code}"


async def _until_stopped() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
