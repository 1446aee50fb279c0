"""The page behind the link of a canary: a button, because mail filters and previews open links by themselves."""

import asyncio
import contextlib
import html
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from pathlib import Path

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from events.errors import NotReady
from ops.canary_record import Record, Unsaved

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>tocsin canary</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem}}
button{{font:inherit;padding:.6rem 1.2rem;cursor:pointer}}</style></head><body>{body}</body></html>"""

log = structlog.get_logger()


def create_page(folder: Path, targets: Callable[[], Collection[str]]) -> Starlette:
    """Return the app; it knows the codes of the last canary of each target there is at that moment, by their hashes."""

    async def show(request: Request) -> HTMLResponse:
        target = _known(folder, targets(), request)
        if target is None:
            return _page("<h1>Not known</h1><p>It was confirmed already, or a newer canary has come since.</p>", 404)
        name = html.escape(target)
        return _page(
            f"<h1>Is the canary seen in {name}?</h1><p>You opened a link that stands in {name}.</p>"
            '<form method="post"><button>Yes, I see it</button></form>'
        )

    async def confirm(request: Request) -> HTMLResponse:
        target = _known(folder, targets(), request)
        if target is None:
            return _page("<h1>Not known</h1><p>It was confirmed already, or a newer canary has come since.</p>", 404)
        try:
            Record.load(folder, target).proved(time.time()).save(folder, target)
        except Unsaved as error:
            log.error("canary_not_confirmed", target=target, reason=str(error))
            return _page(
                "<h1>Not written down</h1><p>The watch has no room on its disk. Please try again later.</p>", 507
            )
        log.info("canary_confirmed", target=target, by="page")
        return _page(f"<h1>Thank you</h1><p>It is known now that {html.escape(target)} is read.</p>")

    path = "/{prefix:path}/{target}/{code}"
    routes = [Route(each, run, methods=[how]) for each in (path, path.removeprefix("/{prefix:path}"))
              for run, how in ((show, "GET"), (confirm, "POST"))]  # fmt: skip
    return Starlette(routes=routes)


def _known(folder: Path, targets: Collection[str], request: Request) -> str | None:
    target, code = request.path_params["target"], request.path_params["code"]
    if target not in targets:
        return None
    return target if Record.load(folder, target).fits(code) else None


def _page(body: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(_PAGE.format(body=body), status, _HEADERS)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The watch decides what a signal means.
        yield


@contextlib.asynccontextmanager
async def serving(app: Starlette, host: str, port: int) -> AsyncIterator[None]:
    """Serve the page as long as a block runs.

    Raises NotReady when the port is taken.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise NotReady(f"The page of the canaries cannot listen on {host}:{port}: {error.strerror}.") from error
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1, limit_concurrency=50,
        server_header=False,
    )  # fmt: skip
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task
        listener.close()
