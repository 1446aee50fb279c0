"""Run ingest: the public and the private port in one process or several, until a signal."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Callable, Generator, Iterator, Mapping

import structlog
import uvloop
from prometheus_client import CollectorRegistry, ProcessCollector

from events.errors import NotReady
from events.settings import KafkaSettings
from ingest import workers
from ingest.admin import create_admin
from ingest.app import PATH, Webhooks
from ingest.crowd import KEEP_ALIVE, most_connections
from ingest.durable import durable
from ingest.live_hooks import LiveHooks
from ingest.metrics import IngestMetrics
from ingest.server import PublicServer, Server, configured
from ingest.settings import IngestSettings

__all__ = ["KEEP_ALIVE", "bind", "run", "serve"]

log = structlog.get_logger()


def run() -> None:
    """Run until SIGTERM or SIGINT, then finish what was accepted.

    Raises NotReady when a setting, the topic, the cluster or a port is not as needed.
    """
    settings = IngestSettings()
    hooks = LiveHooks(settings)
    # Their messages repeat once per request what kafka_away and the metrics say once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    place = workers.place()
    if place:
        uvloop.run(serve(settings, KafkaSettings(), hooks, place.public, place.admin, parent=place.parent))
        return
    with (
        bind("INGEST", settings.host, settings.port) as public,
        bind("INGEST_ADMIN", settings.admin_host, settings.admin_port) as admin,
    ):
        if settings.workers > 1:
            uvloop.run(workers.Workers(settings.workers, public, admin).run())
        else:
            uvloop.run(serve(settings, KafkaSettings(), hooks, public, admin))


async def serve(
    settings: IngestSettings,
    kafka: KafkaSettings,
    hooks: LiveHooks,
    public_socket: socket.socket,
    admin_socket: socket.socket,
    *,
    parent: int | None = None,
) -> None:
    """Serve both ports until a signal, or until the pipe from the parent ends."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)  # when it was started, among others
    metrics = IngestMetrics(registry)
    hooks.tell(metrics.hooks)
    async with durable(settings, kafka, metrics) as found:
        webhooks = Webhooks(hooks, found.publisher, metrics)
        public = PublicServer(settings, webhooks, metrics, most_connections(settings.max_connections))
        app = create_admin(registry, lambda: public.trouble or found.trouble(), found.detail)
        admin = Server(configured(app))
        following = asyncio.create_task(hooks.follow())

        def reload() -> None:
            hooks.reload()
            public.reload_certificate()

        with on_signals(stop(public, parent) | {signal.SIGHUP: reload}):
            serving = asyncio.create_task(admin.serve([admin_socket]))
            url = f"{'https' if settings.tls_cert else 'http'}://{settings.host}:{settings.port}{PATH}…"
            log.info("ingest_ready", url=url, hooks=hooks.names)
            gc.collect()
            gc.freeze()  # what is here now stays: looking through it again and again holds up everybody for milliseconds
            await public.serve([public_socket])
        following.cancel()
        admin.should_exit = True
        await serving
    log.info("ingest_stopped")


def stop(public: Server, parent: int | None) -> dict[signal.Signals, Callable[[], None]]:
    """Return what ends a server: signals, and the end of the parent."""

    def told() -> None:
        if not public.should_exit:
            log.info("ingest_stopping")
            public.should_exit = True

    def orphaned() -> None:
        asyncio.get_running_loop().remove_reader(parent or 0)
        told()

    if parent is not None:
        asyncio.get_running_loop().add_reader(parent, orphaned)
    return {signal.SIGTERM: told, signal.SIGINT: told}


@contextlib.contextmanager
def bind(prefix: str, host: str, port: int) -> Generator[socket.socket, None, None]:
    """Take a port without listening yet, so that nobody connects before Kafka is there.

    Raises NotReady, naming the settings by their prefix.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            if prefix == "INGEST":
                # The next process may take over this port before this one has let go of it.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((host, port))
        except OSError as error:
            raise NotReady(
                f"Cannot listen on {host}:{port} ({error.strerror or error}): "
                f"free the port, or set {prefix}_HOST and {prefix}_PORT."
            ) from error
        yield sock


@contextlib.contextmanager
def on_signals(handlers: Mapping[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """Call these instead of what the signals do by themselves."""
    loop = asyncio.get_running_loop()
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
