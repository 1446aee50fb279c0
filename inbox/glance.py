"""The page of the pipeline, and the word of it that every page shows."""

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from inbox import reading
from inbox.access import holds_link
from inbox.database import Database
from inbox.pipeline import AWAY, Pipeline
from inbox.rendering import Pages
from inbox.runbook import entries

RECENT = 20.0
"""Seconds old the look may be that the bar of every page shows."""


def glance(database: Database, pages: Pages, pipeline: Pipeline) -> APIRouter:
    """Build the routes."""
    router = APIRouter()

    def unread(reader: str) -> int:
        with database.reading() as connection:
            return reading.unread(connection, reader)

    @router.get("/pipeline")
    async def look(request: Request, fragment: bool = False) -> Response:
        shown: dict[str, Any] = {"glance": await pipeline.look(), "AWAY": AWAY}
        if fragment:
            return HTMLResponse(pages.page("glance.html", **shown))
        shown |= {"reader": request.state.reader, "leaves": holds_link(request.headers), "runbook": entries()}
        count = await run_in_threadpool(unread, request.state.reader)
        return HTMLResponse(pages.page("pipeline.html", unread=count, **shown))

    @router.get("/pipeline/state")
    async def state(request: Request) -> Response:
        found = await pipeline.look(RECENT)
        count = await run_in_threadpool(unread, request.state.reader)
        return Response(orjson.dumps({"state": found.state, "unread": count}), media_type="application/json")

    return router
