"""Several ingest processes behind one port: a parent that keeps them running and speaks for them on the private port."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from ingest import pages
from ingest.server import Server, configured

PLACE = "TOCSIN_INGEST_WORKER"
"""Set for a worker by its parent: descriptors of the public and private socket and of the pipe."""

READY_WITHIN = 30.0
"""Seconds a worker may take to be ready; beyond it the others are not restarted."""

STOP_WITHIN = 15.0
"""Seconds from SIGTERM to SIGKILL: more than a worker needs to finish."""

PAUSE = 0.5
"""Seconds before a worker that ended at once is started again."""

PERSON_CAN_FIX = 2
"""Exit code of a worker that cannot start for a reason it has already told."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Place:
    """What a worker inherits."""

    public: socket.socket
    admin: socket.socket
    parent: int


def place() -> Place | None:
    """Return what this process inherits as a worker, None when it is none."""
    text = os.environ.pop(PLACE, "")
    if not text:
        return None
    public, admin, parent = map(int, text.split(","))
    return Place(socket.socket(fileno=public), socket.socket(fileno=admin), parent)


class Workers:
    """Run workers that share the parent's socket, so that none of them can refuse a connection by ending."""

    def __init__(self, number: int, public: socket.socket, admin: socket.socket) -> None:
        self._public = public
        self._admin = admin
        self._listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = False
        self._fatal = False
        self._read, self._write = os.pipe()
        self._rolling = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._began = time.monotonic()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises SystemExit with the exit code of a worker that could not start.
        """
        server = Server(configured(self._app()))
        keeping = [asyncio.create_task(self._keep(number)) for number in range(len(self._listeners))]
        handlers: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGTERM: self._stop,
            signal.SIGINT: self._stop,
            signal.SIGHUP: lambda: self._signal(signal.SIGHUP),
            signal.SIGUSR2: self._roll_soon,
        }
        for number, handler in handlers.items():
            asyncio.get_running_loop().add_signal_handler(number, handler)
        serving = asyncio.create_task(server.serve([self._admin]))
        await asyncio.gather(*keeping)
        server.should_exit = True
        await serving
        if self._fatal:
            raise SystemExit(PERSON_CAN_FIX)

    async def _keep(self, number: int) -> None:
        while not self._stopping:
            started = time.monotonic()
            process = self._processes[number] = await self._start(number)
            log.info("worker_started", worker=number, pid=process.pid)
            code = await process.wait()
            if self._stopping:
                return
            if code == PERSON_CAN_FIX and time.monotonic() - self._began < READY_WITHIN:
                self._fatal = True
                self._stop()
                return
            if code:
                log.warning("worker_restarted", worker=number, code=code)
            await asyncio.sleep(max(0.0, PAUSE - (time.monotonic() - started)))

    async def _start(self, number: int) -> asyncio.subprocess.Process:
        """Run this process's own command again, with what a worker inherits."""
        files = (self._public.fileno(), self._listeners[number].fileno(), self._read)
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *sys.orig_argv[1:],
            env=os.environ | {PLACE: ",".join(map(str, files))},
            pass_fds=files,
            start_new_session=False,
        )

    def _roll_soon(self) -> None:
        task = asyncio.create_task(self._roll())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _roll(self) -> None:
        """Restart one worker after the other, each as soon as the one before is ready again."""
        async with self._rolling:
            log.info("workers_rolling")
            for number in list(self._processes):
                if not await self._renewed(number):
                    log.error("workers_not_rolled", reason=f"worker {number} is not ready again")
                    return
            log.info("workers_rolled")

    async def _renewed(self, number: int) -> bool:
        """Restart a worker; return whether it is ready again in time."""
        old = self._processes[number]
        with contextlib.suppress(ProcessLookupError):
            old.terminate()
        end = time.monotonic() + READY_WITHIN
        while time.monotonic() < end and not self._stopping:
            if self._processes[number] is not old and await pages.is_ready(self._address(number)):
                return True
            await asyncio.sleep(0.1)
        return False

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            log.info("ingest_stopping")
            self._public.close()  # the workers' own copies end it, after whoever waits was let in
            self._signal(signal.SIGTERM)
            asyncio.get_running_loop().call_later(STOP_WITHIN, self._signal, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)

    def _address(self, number: int) -> tuple[str, int]:
        host, port = self._listeners[number].getsockname()
        return host, port

    def _app(self) -> FastAPI:
        app = FastAPI(title="tocsin ingest", openapi_url=None)
        addresses = [self._address(number) for number in range(len(self._listeners))]

        @app.get("/healthz")
        async def healthz() -> JSONResponse:
            status, body = await pages.health(addresses)
            return JSONResponse(body, status)

        @app.get("/metrics")
        async def metrics() -> Response:
            return Response(await pages.metrics(addresses), media_type=CONTENT_TYPE_LATEST)

        return app
