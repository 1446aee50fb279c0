"""The servers of both ports: uvicorn's, stopping so that nobody is refused who was let in."""

import asyncio
import contextlib
import functools
import socket
import ssl
from collections.abc import Generator
from typing import Any

import structlog
import uvicorn

from events.errors import NotReady
from ingest.app import Webhooks
from ingest.crowd import KEEP_ALIVE, Crowd
from ingest.door import Door
from ingest.metrics import IngestMetrics
from ingest.settings import IngestSettings

FINISH_WITHIN = 7
"""Seconds for requests under way when told to stop: reading a body and waiting for Kafka both end sooner."""

LEAVE_WITHIN = 2.0
"""Seconds in which connections are told with their next answer to go elsewhere, before idle ones are closed."""

log = structlog.get_logger()


class Server(uvicorn.Server):
    """A server that leaves signals to the process: there are two of them in it."""

    @property
    def trouble(self) -> str | None:
        """Why it does not serve, in a word, or None."""
        if self.should_exit:
            return "stopping"
        return None if self.started else "starting"

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture none."""
        yield


class PublicServer(Server):
    """The server of the public port."""

    def __init__(self, settings: IngestSettings, app: Webhooks, metrics: IngestMetrics, most: int) -> None:
        """Take how many connections there may be."""
        self._app = app
        self._crowd = Crowd(most)
        protocol = functools.partial(Door, self._crowd, metrics.rejected)
        super().__init__(configured(app, http=protocol, **_tls(settings)))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        await super().startup(sockets)
        self._sweeping = asyncio.create_task(self._crowd.sweep())

    def reload_certificate(self) -> None:
        """Use the certificate now on disk for new connections; one that cannot be read changes nothing."""
        if not self.config.ssl:
            return
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
                *self._certificate
            )  # half of one breaks
            self.config.ssl.load_cert_chain(*self._certificate)
        except OSError as error:  # ssl.SSLError is one
            log.error("certificate_not_read", reason=str(error))
        else:
            log.info("certificate_read")

    @property
    def _certificate(self) -> tuple[str, str | None]:
        key = self.config.ssl_keyfile
        return str(self.config.ssl_certfile), str(key) if key else None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nobody new, answer everybody who is there and ask them to leave, then close."""
        self._app.stopping = True
        await self._let_in_who_waits(sockets or [])
        end = asyncio.get_running_loop().time() + LEAVE_WITHIN
        while self.server_state.connections and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
        self._sweeping.cancel()

    async def _let_in_who_waits(self, sockets: list[socket.socket]) -> None:
        """Stop listening; whoever the system has connected already would otherwise be cut off."""
        spares = [listener.dup() for listener in sockets]
        for server in self.servers:
            server.close()
        for listener in sockets:
            listener.close()
        for spare in spares:
            with spare:
                await self._accept_all(spare)

    async def _accept_all(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        protocol: Any = self.config.http_protocol_class
        make = functools.partial(
            protocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        listener.setblocking(False)
        for _ in range(self.config.backlog):
            try:
                sock, _address = listener.accept()
            except OSError:
                return
            sock.setblocking(False)
            with contextlib.suppress(OSError):
                await loop.connect_accepted_socket(make, sock, ssl=self.config.ssl)


def configured(app: Any, **options: Any) -> uvicorn.Config:
    """Return what both servers have in common.

    Raises NotReady when the certificate cannot be used.
    """
    config = uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,  # a token is part of the path
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=FINISH_WITHIN,
        **{"http": "httptools", **options},
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise NotReady(f"INGEST_TLS_CERT and INGEST_TLS_KEY are not a certificate and its key: {error}.") from error
    return config


def _tls(settings: IngestSettings) -> dict[str, str]:
    if not settings.tls_cert and not settings.tls_key:
        return {}
    if not settings.tls_cert or not settings.tls_key:
        raise NotReady("INGEST_TLS_CERT and INGEST_TLS_KEY belong together: set both or neither.")
    return {"ssl_certfile": str(settings.tls_cert), "ssl_keyfile": str(settings.tls_key)}
