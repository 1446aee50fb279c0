"""What stands before the Alert API: the firewall, the key check, and the wrong answers ordered for it."""

import asyncio
import re
import secrets

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.faults import HANG, Faults, until_gone
from sandbox.firewall import Firewall
from sandbox.quirks import Quirks
from sandbox.turnstile import ARRIVED

API_KEY = "simulated-tenant-key"
POWERLESS_KEY = "simulated-key-without-permissions"
"""A key that is valid but may read nothing except /v1/me: every other call is 403."""

_API_PATH = re.compile(r"(?:/api)?(/v[12](?:/.*)?)")
_BLOCKED = "<!doctype html><html><head><title>429</title></head><body><h1>Too Many Requests</h1></body></html>"
_SIGN_IN = b"<!doctype html><html><head><title>One moment</title></head><body><h1>One moment, please</h1></body></html>"
_ERRORS = {
    400: ("The query is not valid", "VA300"),
    401: ("The token is invalid", "T300"),
    403: ("Your permissions do not allow this", "T403"),
}


class AlertGate:
    """ASGI middleware over the API's paths; everything else passes untouched."""

    def __init__(
        self, app: ASGIApp, *, firewall: Firewall, quirks: Quirks, faults: Faults, api_key: str, latency: float
    ) -> None:
        self._app = app
        self._firewall = firewall
        self._faults = faults
        self._html_every = quirks.html_200
        self._api_key = api_key
        self._latency = latency
        self._good_answers = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a call through, or answer it here."""
        path = _API_PATH.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if not path:
            await self._app(scope, receive, send)
            return
        client = scope["client"][0] if scope.get("client") else "unknown"
        if not self._firewall.admit(client, _arrived(scope)):
            await Response(_BLOCKED, 429, media_type="text/html")(scope, receive, send)
            return
        await asyncio.sleep(self._latency)

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._firewall.answered(client, message["status"])
            await send(message)

        await self._answer(path[1], scope, receive, counted)

    async def _answer(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        fault = self._faults.next()
        if fault and fault.status == HANG:
            await until_gone(request)
        elif fault:
            await _error(fault.status, fault.headers())(scope, receive, send)
        elif refusal := self._refuse(request.headers.get("authorization", ""), path):
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, self._sometimes_html(send) if self._html_every else send)

    def _refuse(self, authorization: str, path: str) -> Response | None:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return _error(401)
        if secrets.compare_digest(key.encode(), POWERLESS_KEY.encode()):
            return None if path == "/v1/me" else _error(403)
        return None if secrets.compare_digest(key.encode(), self._api_key.encode()) else _error(401)

    def _sometimes_html(self, send: Send) -> Send:
        """Replace every Nth good answer by a web page, as a proxy in front of the API does."""
        replaced = False

        async def replacing(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and message["status"] == 200:  # noqa: PLR2004
                self._good_answers += 1
                replaced = self._good_answers % self._html_every == 0
                if replaced:
                    headers = [(b"content-type", b"text/html"), (b"content-length", str(len(_SIGN_IN)).encode())]
                    message = {**message, "headers": headers}
            elif replaced:
                # Starlette's Response sends its body in one message.
                message = {**message, "body": _SIGN_IN}
            await send(message)

        return replacing


def _arrived(scope: Scope) -> float | None:
    """Return when a request came through the turnstile, where there is one."""
    return next((float(value) for name, value in scope["headers"] if name == ARRIVED.encode()), None)


def _error(status: int, headers: dict[str, str] | None = None) -> Response:
    message, code = _ERRORS.get(status, ("The service is not available", "S500"))
    return Response(orjson.dumps({"message": message, "code": code}), status, headers, "application/json")
