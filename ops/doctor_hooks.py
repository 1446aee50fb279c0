"""The doctor's look at the hook: does ingest run here, and does the way from the internet end at it."""

import asyncio
import contextlib
import ipaddress
import secrets
import socket
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx

from events.errors import NotReady
from inbox import rooms
from ingest.answers import ACCEPTED, NOT_FOUND
from ingest.hooks import MIN_TOKEN
from ingest.settings import IngestSettings
from ops import elsewhere
from ops.findings import Asked, Finding, failed, skipped, warning, well

TIMEOUT = 10.0
"""Seconds; ingest answers within two."""

TEST = b'{"type":"test","action":"sent"}'

_HOW = "put a reverse proxy with a certificate before ingest, or for a first try a tunnel: docs/exposing.md has both."


async def look(asked: Asked) -> AsyncIterator[Finding]:
    """Ask ingest's private port, on this machine or where it runs, then knock from outside with a token nobody has."""
    settings = IngestSettings()
    here = f"{'https' if settings.tls_cert else 'http'}://{settings.host}:{settings.port}"
    if away := elsewhere.ingest():
        here = f"port {settings.port} of ingest"
    yield await (_room_elsewhere(away) if away else _room(settings))
    if not asked.url:
        yield skipped(
            "hook.reach",
            f"whether the world reaches {here} is not looked at.",
            f"run `tocsin doctor --url https://YOUR-ADDRESS`. No address yet: {_HOW}",
        )
        return
    base = _base(asked.url)
    for finding in _address(base):
        yield finding
    finding = await _knock(base, here)
    yield finding
    if asked.send and finding.state == "well":
        yield await _post(base, settings)


async def _room(settings: IngestSettings) -> Finding:
    where = f"{settings.admin_host}:{settings.admin_port}"
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
            answer = await client.get(f"http://{where}/healthz")
            said = answer.json()
    except (httpx.HTTPError, ValueError):
        return warning(
            "ingest.health",
            f"nothing answers at {where}",
            "start it with `tocsin ingest`; if it runs elsewhere, look there.",
        )
    if answer.is_success:
        return well("ingest.health", f"it runs at {where} and is ready.")
    return _not_ready(str(said.get("reason"))[:200] if isinstance(said, dict) else "it does not say why")


async def _room_elsewhere(address: str) -> Finding:
    async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
        answer = await rooms.ask(client, address)
    if answer.silent:
        return failed(
            "ingest.health",
            f"{answer.silent} of {answer.asked} at {address} do not answer",
            "look at its container's log; if it runs at another place, correct WATCH_ROOMS.",
        )
    if answer.not_ready:
        return _not_ready(answer.not_ready)
    return well("ingest.health", f"all {answer.asked} at {address} are ready.")


def _not_ready(reason: str) -> Finding:
    return failed(
        "ingest.health", f"it is not ready: {reason}", "what it names stands in the other checks; it goes on by itself."
    )


def _base(url: str) -> str:
    """Return the address without what follows the host; a pasted hook's token is not repeated."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    if not parts.hostname:
        raise NotReady("--url is no address: write it as https://hooks.example.org.")
    path = parts.path.partition("/hooks")[0].rstrip("/")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"


def _address(base: str) -> list[Finding]:
    parts = urlsplit(base)
    found = []
    if parts.scheme != "https":
        found.append(failed("hook.address", f"{base} is not https, and Sekoia.io posts to https only", _HOW))
    with contextlib.suppress(ValueError):
        if not ipaddress.ip_address(parts.hostname or "").is_global:
            found.append(failed("hook.address", f"{parts.hostname} cannot be reached from the internet", _HOW))
    return found


async def _knock(base: str, here: str) -> Finding:
    """Post with a token nobody has: ingest itself answers 404 and one plain line, and nothing else does so."""
    try:
        answer = await _send(base, f"doctor-{secrets.token_urlsafe(9)}", b"{}")
    except httpx.TransportError as error:
        return _no_answer(base, error)
    if answer.status_code == NOT_FOUND.status and answer.content == NOT_FOUND.line:
        return well("hook.reach", f"{base}/hooks/ leads to ingest.")
    return _somebody_else(base, here, answer)


def _no_answer(base: str, error: httpx.TransportError) -> Finding:
    check, parts = "hook.reach", urlsplit(base)
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError | socket.gaierror):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLError):
        return failed(
            check,
            f"{parts.netloc} shows a certificate that a stranger does not trust ({cause.reason or type(cause).__name__})",
            "give the proxy a certificate of a public authority for that name, with the whole chain.",
        )
    if isinstance(cause, socket.gaierror):
        return failed(
            check,
            f"the name {parts.hostname} is not known",
            "make its DNS record; a tunnel's name is new at every start.",
        )
    if isinstance(error, httpx.TimeoutException):
        return failed(check, f"{parts.netloc} does not answer", "let port 443 through the firewall to the proxy.")
    return failed(
        check,
        f"{parts.netloc} takes no connection ({type(error).__name__})",
        "start the proxy or the tunnel, and let port 443 through to it.",
    )


def _somebody_else(base: str, here: str, answer: httpx.Response) -> Finding:
    """Say who answered instead of ingest, by what proxies and tunnels answer when they cannot pass a request on."""
    status = answer.status_code
    if status in {502, 503, 504, 530}:
        advice = (
            f"start ingest, and let the proxy or tunnel pass requests on to {here}: docs/exposing.md has its files."
        )
        return failed("hook.reach", f"the proxy at {base} answers {status}: it does not reach ingest", advice)
    if answer.is_redirect:
        advice = f"use the address it leads to, and let the proxy pass /hooks/ on to {here} without a redirect."
        return failed("hook.reach", f"{base} answers {status}: it sends the sender elsewhere", advice)
    if status in {401, 403, 407}:
        advice = "let /hooks/ through without a login or a check for browsers: the token in the path is what lets in."
        return failed("hook.reach", f"{base} answers {status}: something before ingest refuses the post", advice)
    if status == NOT_FOUND.status:
        advice = (
            f"pass /hooks/ on to {here} with its path as it is; a tunnel's address ends with the tunnel: start it anew."
        )
        return failed("hook.reach", f"{base} answers 404, and it is not ingest that answers", advice)
    return failed(
        "hook.reach",
        f"{base} answers {status}, and it is not ingest that answers",
        f"pass /hooks/ on to {here} as it is.",
    )


async def _post(base: str, settings: IngestSettings) -> Finding:
    given = settings.hooks.get_secret_value().split(",", 1)[0].partition("=")[2]
    if len(given) < MIN_TOKEN:
        return skipped("hook.post", "no test event was sent: there is no token in INGEST_HOOKS that could be used.")
    try:
        answer = await _send(base, given, TEST)
    except httpx.TransportError as error:
        return failed(
            "hook.post", f"a test event got no answer ({type(error).__name__})", "look at the proxy's error log."
        )
    if answer.status_code == ACCEPTED.status and answer.content == ACCEPTED.line:
        return well("hook.post", "a test event was accepted; it is one record of type test in the raw topic.")
    if answer.status_code == NOT_FOUND.status:
        advice = (
            "restart ingest with these settings; if INGEST_NETWORKS limits the hook, set INGEST_TRUSTED_PROXIES too."
        )
        return failed("hook.post", "ingest does not know the token of INGEST_HOOKS", advice)
    return failed(
        "hook.post",
        f"a test event was answered {answer.status_code}",
        "the answer's meaning is in docs/exposing.md, Try it.",
    )


async def _send(base: str, token: str, body: bytes) -> httpx.Response:
    """Post; who answers by drops for longer than a while counts as one who does not answer. Raises httpx.TransportError."""
    try:
        async with asyncio.timeout(2 * TIMEOUT), httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False) as client:
            return await client.post(
                f"{base}/hooks/{token}", content=body, headers={"Content-Type": "application/json"}
            )
    except TimeoutError as error:
        raise httpx.ReadTimeout(f"no end within {2 * TIMEOUT:.0f} s") from error
