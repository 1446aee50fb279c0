"""Run the inbox: the feeder, the pages and the private port in one process, until a signal."""

import asyncio
import contextlib
import logging
import signal
import socket
import time
from functools import partial
from typing import Any

import structlog
import uvicorn
import uvloop
from aiokafka.errors import KafkaConnectionError, KafkaError
from starlette.types import ASGIApp

from events.errors import NotReady
from events.settings import KafkaSettings
from inbox import lag_watch, letters, links
from inbox.access import Access
from inbox.admin import create_admin
from inbox.database import Database
from inbox.feeder import Feeder
from inbox.live import Live
from inbox.pipeline import Pipeline
from inbox.rendering import Pages
from inbox.settings import InboxSettings
from inbox.store import Store
from inbox.sweep import sweep
from inbox.web import create_app

SWEEP_EVERY = 300.0
SILENT = 30.0
"""Seconds without an answer of Kafka after which the inbox says it is not ready."""

AGAIN = 2.0

log = structlog.get_logger()


def run() -> None:
    """Run until SIGTERM or SIGINT.

    Raises NotReady when a setting, the database, the topics or a port is not as needed.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    settings, kafka = InboxSettings(), KafkaSettings()
    kafka.client_options()
    database = Database(settings.path())
    try:
        access = _access(settings, database)
        uvloop.run(_Inbox(settings, kafka, database, access).serve())
    finally:
        database.close()


def _access(settings: InboxSettings, database: Database) -> Access:
    """Make the rules of who gets in.

    Raises NotReady when the page would listen beyond this machine and nobody could get in.
    """
    networks = settings.networks()
    with database.reading() as connection:
        anybody = bool(links.names(connection))
    if not settings.local() and not settings.user_header and not anybody:
        raise NotReady(
            f"INBOX_HOST={settings.host} is not this machine only: set INBOX_USER_HEADER and INBOX_TRUSTED_NETWORKS "
            "for your proxy, or make personal links with `tocsin inbox users add NAME`."
        )
    return Access(database, user_header=settings.user_header, networks=networks, local=settings.local())


class _Inbox:
    """The parts, and what they do together."""

    def __init__(self, settings: InboxSettings, kafka: KafkaSettings, database: Database, access: Access) -> None:
        self._settings = settings
        self._kafka = kafka
        self._database = database
        pages = Pages()
        self._live = Live(database, pages, trouble=self._silence)
        self._store = Store(database, settings.burst.total_seconds())
        self._letters = letters.Letters()
        pipeline = Pipeline(settings.room_addresses(), kafka, self._letters)
        self._app = create_app(database, access, pages, self._live, pipeline)
        self._feeder: Feeder | None = None
        self._born = time.monotonic()

    async def serve(self) -> None:
        """Serve until a signal, or until the feeder cannot go on."""
        settings = self._settings
        with (
            _bind("INBOX", settings.host, settings.port) as public_socket,
            _bind("INBOX_ADMIN", settings.admin_host, settings.admin_port) as admin_socket,
        ):
            public, admin = _server(self._app), _server(create_admin(self._trouble))
            feeding = asyncio.create_task(self._feed(), name="feeder")
            sweeping = asyncio.create_task(self._sweep(), name="sweeper")
            watching = (
                asyncio.create_task(lag_watch.run(self._kafka), name="lag"),
                asyncio.create_task(letters.run(self._kafka, self._letters), name="letters"),
                asyncio.create_task(self._live.watch(), name="pages"),
            )
            serving = [
                asyncio.create_task(server.serve([sock]))
                for server, sock in ((public, public_socket), (admin, admin_socket))
            ]
            stopped = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stopped.set)
            stopping = asyncio.create_task(stopped.wait())
            log.info("inbox_ready", url=f"http://{settings.host}:{settings.port}/", database=str(settings.path()))
            ours = (feeding, sweeping, *watching)
            await asyncio.wait([*ours, stopping, *serving], return_when=asyncio.FIRST_COMPLETED)
            self._live.close()
            public.should_exit = admin.should_exit = True
            ended = [task for task in ours if task.done()]
            for task in (*ours, stopping):
                task.cancel()
            await asyncio.wait([*ours, *serving], timeout=5)
            for task in ended:
                task.result()
        log.info("inbox_stopped")

    async def _feed(self) -> None:
        """Feed; when Kafka is away, say so once and try again."""
        away = False
        while True:
            feeder = Feeder(
                self._kafka, self._store, history=self._settings.history, accept_gap=self._settings.accept_gap
            )
            try:
                async with feeder:
                    self._feeder = feeder
                    if away:
                        log.info("kafka_back")
                    away = False
                    while True:
                        read = await feeder.step()
                        if read.records:
                            self._live.wake(read.delivered)
            except (KafkaError, KafkaConnectionError, OSError) as error:
                if not away:
                    log.warning("kafka_away", error=repr(error))
                away = True
            await asyncio.sleep(AGAIN)

    async def _sweep(self) -> None:
        while True:
            settings = self._settings
            before = time.time() - settings.retention.total_seconds()
            bound = partial(sweep, before=before, keep=settings.keep, keep_bytes=settings.keep_bytes)
            left = await asyncio.to_thread(bound, self._database)
            if left:
                log.info("swept", threads=left)
            await asyncio.sleep(SWEEP_EVERY)

    def _silence(self) -> str | None:
        """Say what pages show when nothing can come in; a start is given the time it takes."""
        return None if time.monotonic() - self._born < SILENT else self._trouble()

    def _trouble(self) -> str | None:
        silent = time.monotonic() - (self._feeder.read_at if self._feeder else 0.0)
        return None if silent < SILENT else "Kafka has not answered for a while; what came is shown, nothing new"


@contextlib.contextmanager
def _bind(prefix: str, host: str, port: int) -> Any:
    """Take a port before Kafka is asked for anything.

    Raises NotReady when it is taken.
    """
    try:
        sock = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise NotReady(f"{prefix}_HOST:{prefix}_PORT {host}:{port} cannot be opened: {error.strerror}.") from error
    with sock:
        yield sock


class _Server(uvicorn.Server):
    """A server that leaves signals to this process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Take none."""
        yield


def _server(app: ASGIApp) -> uvicorn.Server:
    return _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
    )
