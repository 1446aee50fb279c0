"""How every destination posts over HTTP: the one file that knows the HTTP client."""

import asyncio
import io
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver, ResolveResult
from pydantic import SecretStr
from yarl import URL

from sinks import egress
from sinks.destination import Unavailable
from sinks.responses import Answer

MAX_ANSWER = 64 * 1024
"""Bytes of an answer that are read; the rest is left unread and the connection closed."""

DEADLINE = 30.0
"""Seconds from the first byte out to the last byte in."""

KEPT = 30.0
"""Seconds an idle connection is used again; servers close theirs after a minute or more."""

_PATIENCE = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=10)
_LARGE = 1024 * 1024
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
        _ = parts.port, URL(text)
    except ValueError:
        raise ValueError("not a valid address: look at its host and port") from None
    egress.check_host(parts.hostname, secure=parts.scheme == "https", networks=egress.allowed())
    return url


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    limit: int


class _Checked(AbstractResolver):
    """Names no address but those that were checked, so a name that changes its mind meanwhile leads nowhere."""

    def __init__(self) -> None:
        self.addresses: Sequence[str] = ()

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002
    ) -> list[ResolveResult]:
        """Return them in the client's form; certificate and Host stay those of the name."""
        return [
            ResolveResult(
                hostname=host,
                host=one,
                port=port,
                family=socket.AF_INET6 if ":" in one else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for one in self.addresses
        ]

    async def close(self) -> None:
        """Hold nothing."""


class Poster:
    """Post to one address, without redirects, proxies of the environment, or answers without end."""

    def __init__(self, url: SecretStr, resolve: egress.Resolve = egress.resolve) -> None:
        self._parts = parts = urlsplit(url.get_secret_value())
        self._host = parts.hostname or ""
        secure = parts.scheme == "https"
        self._port = parts.port or (443 if secure else 80)
        self._base = f"{parts.scheme}://{f'[{self._host}]' if ':' in self._host else self._host}:{self._port}"
        self._checked = _Checked()
        self._guard = egress.Guard(self._host, self._port, secure=secure, resolve=resolve)

    async def open(self, resources: AsyncExitStack) -> None:
        """Make the client; `resources` closes it."""
        connector = aiohttp.TCPConnector(
            ssl=ssl.create_default_context(cafile=certifi.where()),
            resolver=self._checked,
            use_dns_cache=False,
            happy_eyeballs_delay=None,  # one address after the other
            limit=0,  # the runner says how many at once
            keepalive_timeout=KEPT,
        )
        self._client = await resources.enter_async_context(
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_HEADERS,
                timeout=_PATIENCE,
                auto_decompress=False,
            )
        )

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a body and return the answer, whatever its status.

        Raises Unavailable when there is none within DEADLINE; its text holds no address.
        """
        return await self._ask(
            _Request("POST", self._parts.path or "/", self._parts.query, headers, body, MAX_ANSWER), DEADLINE
        )

    async def get(self, path: str, headers: Mapping[str, str], *, limit: int, deadline: float) -> Answer:
        """Ask for what is at `path` below the address; at most `limit` bytes of it, within `deadline` seconds.

        Raises Unavailable when there is no answer.
        """
        place, _, query = (self._parts.path.rstrip("/") + path).partition("?")
        return await self._ask(_Request("GET", place or "/", query, headers, b"", limit), deadline)

    async def _ask(self, request: "_Request", deadline: float) -> Answer:
        try:
            async with asyncio.timeout(deadline):
                self._checked.addresses = await self._guard.addresses()
                return await self._send(request)
        except aiohttp.ClientError as error:
            raise Unavailable(f"no answer: {type(error).__name__}") from None
        except TimeoutError:
            raise Unavailable(f"no complete answer within {deadline:.0f} s") from None

    async def _send(self, wanted: "_Request") -> Answer:
        # The signature in the query counts byte by byte: nothing is encoded anew, and an explicit port stays.
        url = URL(f"{self._base}{wanted.path}" + (f"?{wanted.query}" if wanted.query else ""), encoded=True)
        async with self._client.request(
            wanted.method,
            url,
            data=io.BytesIO(wanted.body) if len(wanted.body) >= _LARGE else wanted.body or None,
            headers={**wanted.headers, "Host": self._parts.netloc},
            allow_redirects=False,
        ) as response:
            if response.status < 200:  # noqa: PLR2004
                raise Unavailable(f"no answer: HTTP {response.status}")
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, headers, await _read(response, wanted.limit))


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) >= limit:
            response.close()  # the rest is not waited for
            break
    return bytes(body[:limit])
