"""The page of the pipeline."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from inbox.access import holds_link
from inbox.pipeline import AWAY, Pipeline
from inbox.rendering import Pages
from inbox.runbook import ENTRIES


def glance(pages: Pages, pipeline: Pipeline) -> APIRouter:
    """Build the route."""
    router = APIRouter()

    @router.get("/pipeline")
    async def look(request: Request, fragment: bool = False) -> Response:
        found = await pipeline.look()
        name = "glance.html" if fragment else "pipeline.html"
        reader, leaves = request.state.reader, holds_link(request.headers)
        return HTMLResponse(pages.page(name, glance=found, AWAY=AWAY, runbook=ENTRIES, reader=reader, leaves=leaves))

    return router
