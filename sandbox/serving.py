"""An app served over HTTP inside this process, for as long as a block runs."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from fastapi import FastAPI

from events.errors import NotReady

HOST = "127.0.0.1"

KEPT = 75
"""Seconds an idle connection is kept, as nginx does; with uvicorn's five a client's next call meets the closing of it."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The process decides what a signal means; uvicorn would end it by the signal itself.
        yield


@contextlib.asynccontextmanager
async def serving(app: FastAPI, port: int = 0, host: str = HOST) -> AsyncIterator[str]:
    """Serve an app, on the loopback address unless told, and yield its address; port 0 takes a free one.

    Connections that hang are cut a second after the block ends. Raises NotReady when the port is taken.
    """
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise NotReady(f"Port {port} of {host} is taken ({error.strerror}); choose another one.") from error
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_keep_alive=KEPT, timeout_graceful_shutdown=1
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not task.done():
            await asyncio.sleep(0.01)
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()
