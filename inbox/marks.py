"""What a reader says: this is read, this is not, all of it is."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Request, Response
from fastapi.concurrency import run_in_threadpool

from inbox import reading
from inbox.database import Database
from inbox.filters import Filters
from inbox.listing import Listing
from inbox.live import Live

TOLD = 1000
"""Threads named to the reader's pages; of more they ask again."""

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
        filters = Filters.read(request.query_params.multi_items())
        told = await run_in_threadpool(_everything, database, clock, filters, request.state.reader)
        live.seen(request.state.reader, told)
        return Response(status_code=204)

    return router


def _everything(database: Database, clock: int, filters: Filters, reader: str) -> dict[str, Any]:
    """Mark what matches and was there when the clock stood at `clock`; return what the reader's pages are told."""
    with database.writing() as connection:
        if not filters.active:
            reading.mark_all(connection, reader, clock)
            return {"up_to": clock, "read": True}
        # What matches only: what the filters hide was not seen.
        threads = Listing(filters, reader).unread(connection, clock)
        reading.mark(connection, reader, threads, read=True)
    return {"threads": threads[:TOLD], "read": True, "more": len(threads) > TOLD}
