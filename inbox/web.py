"""The web application: the page, its fragments, and what they can be told."""

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from starlette.middleware.gzip import GZipMiddleware

from inbox import detail, facets, reading
from inbox.access import Access, Gate, holds_link
from inbox.database import Database
from inbox.entrance import entrance
from inbox.files import files
from inbox.filters import Filters
from inbox.glance import glance
from inbox.listing import Listing, Rows
from inbox.live import Live
from inbox.marks import marks
from inbox.pipeline import Pipeline
from inbox.rendering import Pages
from inbox.text import pretty

RAW_SHOWN = 20_000
"""Characters of a raw body in the drawer; the whole of it is one click away."""

_UNBUFFERED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

Number = Annotated[int, Path(ge=0, lt=1 << 62)]
Key = Annotated[int | None, Query(ge=0, lt=1 << 62)]


def create_app(database: Database, access: Access, pages: Pages, live: Live, pipeline: Pipeline) -> FastAPI:
    """Build the application."""
    app = FastAPI(title="tocsin inbox", openapi_url=None)
    view = _View(database, pages)
    app.include_router(entrance(database, pages))
    app.include_router(marks(database, live))
    app.include_router(files(database))
    app.include_router(glance(database, pages, pipeline))

    @app.get("/")
    def inbox(request: Request, open: Key = None) -> Response:  # noqa: A002 - a name in the address
        return HTMLResponse(view.inbox(request, open))

    @app.get("/rows")
    def rows(request: Request, before: Key = None) -> Response:
        return _json(view.rows(_filters(request), request.state.reader, before))

    @app.get("/bursts/{number}")
    def burst(request: Request, number: Number) -> Response:
        return _json(view.burst(_filters(request), request.state.reader, number))

    @app.get("/threads/{number}")
    def thread(request: Request, number: Number) -> Response:
        return HTMLResponse(view.drawer(number, _filters(request)))

    @app.get("/live")
    async def stream(request: Request, after: Key = None, rung: Key = None) -> Response:
        last = request.headers.get("last-event-id", "")
        if last.isdecimal() and len(last) < 19:  # noqa: PLR2004 - digits of 64 bits
            after = rung = int(last)
        reader, peer = request.state.reader, request.client.host if request.client else ""
        messages: AsyncIterator[bytes] = live.stream(
            _filters(request), reader, after or 0, lambda: access.reader(request.headers, peer) == reader, rung=rung
        )
        return StreamingResponse(messages, media_type="text/event-stream", headers=_UNBUFFERED)

    app.add_middleware(GZipMiddleware, minimum_size=500, compresslevel=5)
    app.add_middleware(Gate, access=access)
    return app


class _View:
    """What the page shows, looked up and rendered."""

    def __init__(self, database: Database, pages: Pages) -> None:
        self._database = database
        self._pages = pages

    def inbox(self, request: Request, number: int | None) -> str:
        """Render the whole page, with a thread open or without."""
        filters, reader = _filters(request), request.state.reader
        with self._database.reading() as connection:
            known = reading.known(connection, reader)
        if not known:
            with self._database.writing() as connection:
                reading.welcome(connection, reader, time.time())
        with self._database.reading() as connection:
            found = Listing(filters, reader).page(connection)
            unread = reading.unread(connection, reader)
            offered = facets.offered(connection)
        return self._pages.page(
            "inbox.html",
            rows=found,
            list=self._pages.rows(found, filters),
            drawer="" if number is None else self.drawer(number, filters, missing_is_fine=True),
            filters=filters,
            facets=offered,
            unread=unread,
            reader=reader,
            leaves=holds_link(request.headers),
        )

    def rows(self, filters: Filters, reader: str, before: int | None) -> dict[str, Any]:
        """Return a page of rows; `older` is the key of the next one."""
        with self._database.reading() as connection:
            found = Listing(filters, reader).page(connection, before)
            unread = reading.unread(connection, reader)
        return self._fragment(found, filters) | {"unread": unread}

    def burst(self, filters: Filters, reader: str, number: int) -> dict[str, Any]:
        """Return the members of a burst."""
        with self._database.reading() as connection:
            found = Listing(filters, reader).members(connection, number)
        return self._fragment(found, filters, member=True)

    def _fragment(self, found: Rows, filters: Filters, *, member: bool = False) -> dict[str, Any]:
        older = found.rows[-1]["newest"] if found.more else None
        return {"html": self._pages.rows(found, filters, member=member), "older": older, "clock": found.clock}

    def drawer(self, number: int, filters: Filters, *, missing_is_fine: bool = False) -> str:
        """Render a thread; raises HTTPException 404 for one that is not here."""
        with self._database.reading() as connection:
            found = detail.find(connection, number)
        if found is None:
            if missing_is_fine:
                return ""
            raise HTTPException(404, "This alert is no longer in the inbox.")
        return self._pages.page(
            "drawer.html",
            it=found.thread,
            timeline=found.timeline,
            deliveries=found.deliveries,
            facts=detail.facts(found),
            details=detail.description(found),
            event=pretty(found.record.get("event"), RAW_SHOWN),
            alert=pretty(found.known["alert"], RAW_SHOWN) if found.known.get("alert") else "",
            filters=filters,
        )


def _filters(request: Request) -> Filters:
    return Filters.read(request.query_params.multi_items())


def _json(value: dict[str, Any]) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
