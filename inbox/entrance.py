"""The door for personal links: `/enter#TOKEN`, so that no proxy's log ever sees a token."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from fastapi.responses import HTMLResponse

from inbox import links, metrics
from inbox.access import COOKIE
from inbox.database import Database
from inbox.rendering import Pages

LASTS = 30 * 24 * 3600
"""Seconds a browser keeps it; the link opens the door again."""

Token = Annotated[str, Body(embed=True, max_length=200)]


def entrance(database: Database, pages: Pages) -> APIRouter:
    """Build the routes."""
    router = APIRouter()

    @router.get("/enter")
    def door(request: Request) -> Response:
        return HTMLResponse(pages.page("enter.html", reader=request.state.reader))

    @router.post("/enter")
    def enter(request: Request, token: Token) -> Response:
        with database.reading() as connection:
            name = links.owner(connection, token)
        if not name:
            metrics.REFUSED.labels("link").inc()
            return Response("This link is not, or no longer, valid.\n", 403, media_type="text/plain")
        answer = Response(status_code=204)
        # Lax, not strict: a link to an alert that a colleague sends must open.
        answer.set_cookie(COOKIE, token, max_age=LASTS, httponly=True, samesite="lax", secure=_secure(request))
        return answer

    @router.post("/leave")
    def leave() -> Response:
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, httponly=True, samesite="lax")
        return answer

    return router


def _secure(request: Request) -> bool:
    """Tell whether the browser came over TLS, here or at a proxy; who claims it wrongly only harms oneself."""
    return "https" in {request.url.scheme, request.headers.get("x-forwarded-proto")}
