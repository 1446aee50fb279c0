"""The page that shows each message as its client would draw it, and the same as JSON for tools."""

import secrets
from importlib import resources

import orjson
from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from sandbox.endpoints import Endpoints

_CSP = (
    "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MAIL_CSP = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
_BARE = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


def routes(endpoints: Endpoints) -> APIRouter:
    """Return the page, what it asks for, and the mails it frames."""
    router = APIRouter()
    page = resources.files("sandbox").joinpath("messages.html").read_text("utf-8")

    @router.get("/_sandbox/messages")
    async def messages(since: int = 0) -> Response:
        found = [vars(one) for one in endpoints.shown if one.seq > since]
        content = {"repeated": endpoints.repeated, "messages": found}
        return Response(orjson.dumps(content), media_type="application/json", headers=_BARE)

    @router.get("/_sandbox/mail/{seq}")
    async def mail(seq: int) -> Response:
        found = next((one for one in endpoints.shown if one.seq == seq and one.kind == "mail"), None)
        text = str(found.content.get("html", "")) if found else ""
        return HTMLResponse(text, headers=_BARE | {"Content-Security-Policy": _MAIL_CSP})

    @router.get("/messages")
    async def shown() -> Response:
        nonce = secrets.token_urlsafe(16)
        headers = _BARE | {"Content-Security-Policy": _CSP.format(nonce=nonce)}
        return HTMLResponse(page.replace("{nonce}", nonce), headers=headers)

    return router
