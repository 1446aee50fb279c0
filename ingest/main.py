"""Run ingest: the public and the private port in one process, until a signal."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Generator, Iterator
from typing import Any

import structlog
import uvicorn
import uvloop
from prometheus_client import CollectorRegistry

from events.errors import NotReady
from events.settings import KafkaSettings
from ingest.admin import create_admin
from ingest.app import PATH, Webhooks
from ingest.durable import durable
from ingest.hooks import Hooks
from ingest.metrics import IngestMetrics
from ingest.settings import IngestSettings

FINISH_WITHIN = 7
"""Seconds for requests under way when told to stop: reading a body and waiting for Kafka both end sooner."""

KEEP_ALIVE = 75
"""Seconds an idle connection is kept: longer than proxies keep theirs, else they post into one that just closed."""

log = structlog.get_logger()


def run() -> None:
    """Run until SIGTERM or SIGINT, then finish what was accepted.

    Raises NotReady when a setting, the topic, the cluster or a port is not as needed.
    """
    settings = IngestSettings()
    hooks = Hooks.parse(settings.hooks.get_secret_value())
    # Their messages repeat once per request what kafka_away and the metrics say once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    uvloop.run(serve(settings, KafkaSettings(), hooks))


async def serve(settings: IngestSettings, kafka: KafkaSettings, hooks: Hooks) -> None:
    """Serve both ports until a signal."""
    with (
        bind("INGEST", settings.host, settings.port) as public_socket,
        bind("INGEST_ADMIN", settings.admin_host, settings.admin_port) as admin_socket,
    ):
        registry = CollectorRegistry()
        metrics = IngestMetrics(registry)
        async with durable(settings, kafka, metrics) as found:
            public = _server(Webhooks(hooks, found.publisher, metrics))
            admin = _server(create_admin(registry, lambda: public.trouble or found.trouble(), found.detail))
            with _on_signal(public):
                serving = asyncio.create_task(admin.serve([admin_socket]))
                log.info("ingest_ready", url=f"http://{settings.host}:{settings.port}{PATH}…", hooks=hooks.names)
                await public.serve([public_socket])
            admin.should_exit = True
            await serving
    log.info("ingest_stopped")


@contextlib.contextmanager
def bind(prefix: str, host: str, port: int) -> Generator[socket.socket, None, None]:
    """Take a port without listening yet, so that nobody connects before Kafka is there.

    Raises NotReady, naming the settings by their prefix.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            raise NotReady(
                f"Cannot listen on {host}:{port} ({error.strerror or error}): "
                f"free the port, or set {prefix}_HOST and {prefix}_PORT."
            ) from error
        yield sock


class _Server(uvicorn.Server):
    """A server that leaves signals to the process: there are two of them in it."""

    @property
    def trouble(self) -> str | None:
        """Why it does not serve, in a word, or None."""
        if self.should_exit:
            return "stopping"
        return None if self.started else "starting"

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _server(app: Callable[..., Any]) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,  # a token is part of the path
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=FINISH_WITHIN,
        )
    )


@contextlib.contextmanager
def _on_signal(public: _Server) -> Iterator[None]:
    def stop() -> None:
        log.info("ingest_stopping")
        public.should_exit = True

    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop)
    try:
        yield
    finally:
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(signum)
