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
Said = Annotated[bool, Body()]
Row = Annotated[int, Path(ge=0, lt=1 << 62)]


def marks(database: Database, live: Live) -> APIRouter:
    """Build the routes."""
    router = APIRouter()

    def one(thread: int, reader: str, clock: int, read: bool) -> None:
        with database.writing() as connection:
            reading.mark(connection, reader, [thread], read=read, up_to=clock)

    def burst(number: int, filters: Filters, reader: str, clock: int, read: bool) -> list[int]:
        with database.reading() as connection:
            members = [row["id"] for row in Listing(filters, reader).members(connection, number).rows]
        with database.writing() as connection:
            reading.mark(connection, reader, members, read=read, up_to=clock)
        return members

    # `clock` is the reading up to which the page had heard: what came since, nobody has seen.

    @router.post("/read")
    async def mark(request: Request, thread: Number, clock: Number, read: Said = True) -> Response:
        await run_in_threadpool(one, thread, request.state.reader, clock, read)
        live.seen(request.state.reader, {"threads": [thread], "read": read, "until": clock})
        return Response(status_code=204)

    @router.post("/bursts/{number}/read")
    async def mark_burst(request: Request, number: Row, clock: Number, read: Said = True) -> Response:
        filters = Filters.read(request.query_params.multi_items())
        members = await run_in_threadpool(burst, number, filters, request.state.reader, clock, read)
        live.seen(request.state.reader, {"threads": members, "rows": [number], "read": read, "until": clock})
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
        reading.mark(connection, reader, threads, read=True, up_to=clock)
    return {"threads": threads[:TOLD], "read": True, "until": clock, "more": len(threads) > TOLD}
