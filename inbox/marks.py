"""What a reader says: this is read, this is not, all of it is."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Request, Response
from fastapi.concurrency import run_in_threadpool

from inbox import reading
from inbox.database import Database
from inbox.filters import Filters
from inbox.listing import Listing
from inbox.live import Live

Number = Annotated[int, Body(ge=0, lt=1 << 62)]
Row = Annotated[int, Path(ge=0, lt=1 << 62)]


def marks(database: Database, live: Live) -> APIRouter:
    """Build the routes."""
    router = APIRouter()

    def one(thread: int, reader: str, read: bool) -> None:
        with database.writing() as connection:
            reading.mark(connection, reader, [thread], read=read)

    def burst(number: int, filters: Filters, reader: str, read: bool) -> list[int]:
        with database.reading() as connection:
            members = [row["id"] for row in Listing(filters, reader).members(connection, number).rows]
        with database.writing() as connection:
            reading.mark(connection, reader, members, read=read)
        return members

    def everything(clock: int, reader: str) -> None:
        with database.writing() as connection:
            reading.mark_all(connection, reader, clock)

    @router.post("/read")
    async def mark(request: Request, thread: Number, read: Annotated[bool, Body()] = True) -> Response:
        await run_in_threadpool(one, thread, request.state.reader, read)
        live.seen(request.state.reader, {"threads": [thread], "read": read})
        return Response(status_code=204)

    @router.post("/bursts/{number}/read")
    async def mark_burst(request: Request, number: Row, read: Annotated[bool, Body(embed=True)] = True) -> Response:
        filters = Filters.read(request.query_params.multi_items())
        members = await run_in_threadpool(burst, number, filters, request.state.reader, read)
        live.seen(request.state.reader, {"threads": members, "rows": [number], "read": read})
        return Response(status_code=204)

    @router.post("/read-all")
    async def mark_all(request: Request, clock: Annotated[int, Body(embed=True, ge=0, lt=1 << 62)]) -> Response:
        await run_in_threadpool(everything, clock, request.state.reader)
        live.seen(request.state.reader, {"up_to": clock, "read": True})
        return Response(status_code=204)

    return router
