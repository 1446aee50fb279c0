"""Who gets in: this machine, the users a trusted proxy names, and the holders of personal links; nobody else."""

import ipaddress
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inbox import links, metrics
from inbox.database import Database
from inbox.settings import Network
from inbox.text import clean

COOKIE = "tocsin_inbox"
SENDER = "x-tocsin"
"""A header every request that changes something carries: another site's page cannot set it without being asked."""

_OPEN = ("/assets/", "/enter")
_LOCAL = {"localhost", "127.0.0.1", "::1"}
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")

SAFE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Access:
    """Tell who asks; thread-safe."""

    def __init__(self, database: Database, *, user_header: str, networks: tuple[Network, ...], local: bool) -> None:
        """Take whether the page listens on this machine only: without header and links, it is open there."""
        self._database = database
        self._header = user_header.lower()
        self._networks = networks
        self._local = local

    def reader(self, headers: Headers, peer: str) -> str:
        """Return the reader's name, "" for somebody who is not let in."""
        return self._named(headers, peer) or self._by_link(headers) or self._here(headers)

    def _named(self, headers: Headers, peer: str) -> str:
        """Return the user a trusted proxy names; a header that came twice is somebody's trick."""
        values = headers.getlist(self._header) if self._header else []
        if len(values) != 1 or not self._trusted(peer):
            return ""
        name = values[0].strip()
        return name if name == clean(name, 200) else ""

    def _trusted(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)

    def _by_link(self, headers: Headers) -> str:
        token = cookie(headers)
        if not token:
            return ""
        with self._database.reading() as connection:
            return links.owner(connection, token)

    def _here(self, headers: Headers) -> str:
        """Return `local` on this machine while nothing else is set up, and not for what a proxy passes on."""
        if not self._local or self._header or any(name in headers for name in _FORWARDED):
            return ""
        # Another site that points its own name at 127.0.0.1 must not read the page: the name asked for is checked.
        host = headers.get("host", "").lower()
        name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
        if name not in _LOCAL:
            return ""
        with self._database.reading() as connection:
            return "" if links.names(connection) else "local"


def holds_link(headers: Headers) -> bool:
    """Tell whether the browser holds a personal link, and could leave."""
    return bool(cookie(headers))


def cookie(headers: Headers) -> str:
    """Return the token of a personal link the browser holds, "" for none."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except CookieError:
        return ""
    return jar[COOKIE].value if COOKIE in jar else ""


class Gate:
    """Let requests in with their reader's name, and put the headers on every answer that keep a page safe."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    answer.setdefault(name, value)
            await send(message)

        refused = self._refused(scope)
        await (refused or self._app)(scope, receive, guarded)

    def _refused(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if scope["method"] not in {"GET", "HEAD"} and not _own(headers):
            metrics.REFUSED.labels("foreign").inc()
            return Response("This request did not come from the inbox's own page.\n", 403, media_type="text/plain")
        state: dict[str, Any] = scope.setdefault("state", {})
        peer = scope["client"][0] if scope.get("client") else ""
        state["reader"] = self._access.reader(headers, peer)
        if state["reader"] or scope["path"].startswith(_OPEN):
            return None
        metrics.REFUSED.labels("unknown").inc()
        if "text/html" in headers.get("accept", ""):
            return Response(status_code=303, headers={"Location": "/enter"})
        return Response("Who are you? Open your personal link, or sign in.\n", 401, media_type="text/plain")


def _own(headers: Headers) -> bool:
    """Tell whether a request that changes something comes from our own page."""
    return SENDER in headers and headers.get("sec-fetch-site", "same-origin") == "same-origin"
