"""How every destination posts over HTTP: the one file that knows the HTTP client."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from sinks import egress
from sinks.destination import Unavailable
from sinks.responses import Answer

MAX_ANSWER = 64 * 1024
"""Bytes of an answer that are read; the rest is left unread and the connection closed."""

DEADLINE = 30.0
"""Seconds from the first byte out to the last byte in."""

KEPT = 30.0
"""Seconds an idle connection is used again; servers close theirs after a minute or more."""

_PATIENCE = httpx.Timeout(10).as_dict()
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "tocsin"}


def check_url(url: SecretStr) -> SecretStr:
    """Accept an absolute address that can be sent as it is written and may be reached: https, or what `egress` allows.

    Raises ValueError; the message never repeats the address, it may be the credential.
    """
    text = url.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("the address holds characters that must be percent-encoded")
    parts = urlsplit(text)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError("not an absolute https:// address")
    if parts.username is not None:
        raise ValueError("user and password do not belong into the address")
    try:
        _ = parts.port, httpx.URL(text)
    except (ValueError, httpx.InvalidURL):
        raise ValueError("not a valid address: look at its host and port") from None
    egress.check_host(parts.hostname, secure=parts.scheme == "https", networks=egress.allowed())
    return url


@dataclass(frozen=True)
class _Request:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    limit: int


class Poster:
    """Post to one address, without redirects, proxies of the environment, or answers without end."""

    def __init__(self, url: SecretStr, resolve: egress.Resolve = egress.resolve) -> None:
        self._url = url
        self._parts = parts = urlsplit(url.get_secret_value())
        self._host = parts.hostname or ""
        secure = parts.scheme == "https"
        self._port = parts.port or (443 if secure else 80)
        self._lines: list[httpx.AsyncHTTPTransport] = []
        self._free: list[httpx.AsyncHTTPTransport] = []
        self._guard = egress.Guard(self._host, self._port, secure=secure, resolve=resolve)

    async def open(self, resources: AsyncExitStack) -> None:
        """Make the client; `resources` closes it."""
        # Both log request lines, and the address may be the credential.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._trust = httpx.create_ssl_context(trust_env=False)
        resources.push_async_callback(self._close)

    async def _close(self) -> None:
        for line in self._lines:
            await line.aclose()

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a body and return the answer, whatever its status.

        Raises Unavailable when there is none within DEADLINE; its text holds no address.
        """
        parts = self._parts
        # The signature in the query counts byte by byte: httpx would re-encode it and drop an explicit port.
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return await self._ask(_Request("POST", target, headers, body, MAX_ANSWER), DEADLINE)

    async def get(self, path: str, headers: Mapping[str, str], *, limit: int, deadline: float) -> Answer:
        """Ask for what is at `path` below the address; at most `limit` bytes of it, within `deadline` seconds.

        Raises Unavailable when there is no answer.
        """
        target = self._parts.path.rstrip("/") + path
        return await self._ask(_Request("GET", target, headers, b"", limit), deadline)

    async def _ask(self, request: "_Request", deadline: float) -> Answer:
        try:
            async with asyncio.timeout(deadline):
                return await self._exchange(request)
        except TimeoutError:
            raise Unavailable(f"no complete answer within {deadline:.0f} s") from None
        except httpx.TransportError as error:
            raise Unavailable(f"no answer: {type(error).__name__}") from None

    async def _exchange(self, request: "_Request") -> Answer:
        *others, last = await self._guard.addresses()
        for address in others:
            try:
                return await self._send(address, request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue  # nothing was sent; the host has another address
        return await self._send(last, request)

    async def _send(self, address: str, wanted: "_Request") -> Answer:
        parts = self._parts
        # The connection goes to the address that was checked; certificate and Host are those of the name.
        place = f"[{address}]" if ":" in address else address
        request = httpx.Request(
            wanted.method,
            f"{parts.scheme}://{place}:{self._port}/",
            content=wanted.body or None,
            headers={**wanted.headers, **_HEADERS, "Host": parts.netloc},
            extensions={"target": wanted.target.encode("ascii"), "sni_hostname": self._host, "timeout": _PATIENCE},
        )
        line = self._free.pop() if self._free else self._line()
        try:
            response = await line.handle_async_request(request)
            try:
                return Answer(response.status_code, dict(response.headers), await _read(response, wanted.limit))
            finally:
                await response.aclose()
        finally:
            self._free.append(line)

    def _line(self) -> httpx.AsyncHTTPTransport:
        """Make what carries one request at a time, and keeps its connection for the next.

        A pool of many connections looks at each of them for every request (ADR 5); the last one used is used first.
        """
        line = httpx.AsyncHTTPTransport(
            verify=self._trust, trust_env=False, limits=httpx.Limits(max_connections=1, keepalive_expiry=KEPT)
        )
        self._lines.append(line)
        return line


async def _read(response: httpx.Response, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) >= limit:
            break
    return bytes(body[:limit])
