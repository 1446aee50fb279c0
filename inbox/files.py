"""What a browser downloads: the assets, and whole records."""

from importlib import resources
from typing import Annotated

import orjson
from fastapi import APIRouter, HTTPException, Path, Response

from inbox import detail
from inbox.database import Database
from inbox.rendering import edition

_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

Number = Annotated[int, Path(ge=0, lt=1 << 62)]


def files(database: Database) -> APIRouter:
    """Build the routes."""
    router = APIRouter()

    @router.get("/raw/{number}")
    def raw(number: Number) -> Response:
        with database.reading() as connection:
            record = detail.record(connection, number)
        if not record:
            raise HTTPException(404, "This record is no longer in the inbox.")
        headers = {"Content-Disposition": f'attachment; filename="notification-{number}.json"'}
        return Response(
            orjson.dumps(record, option=orjson.OPT_INDENT_2), media_type="application/json", headers=headers
        )

    @router.get("/assets/{of}/{name}")
    def asset(of: str, name: str) -> Response:
        if of != edition():  # a page of before an upgrade: with a module of after it, it would half work
            raise HTTPException(404)
        file = resources.files("inbox").joinpath("assets", name)
        ending = name.rpartition(".")[2]
        if "/" in name or ending not in _TYPES or not file.is_file():
            raise HTTPException(404)
        return Response(file.read_bytes(), media_type=_TYPES[ending], headers=_FOREVER)

    return router
