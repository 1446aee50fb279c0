"""The inbox's pages on a port of their own, without Kafka: tests write to the store and see what browsers see."""

import asyncio
import socket
import threading
from pathlib import Path

import uvicorn

from events.records import EnrichedEvent, Receipt
from events.settings import KafkaSettings
from inbox.access import Access
from inbox.live import Live
from inbox.pipeline import Pipeline
from inbox.rendering import Pages
from inbox.store import Batch
from inbox.web import create_app
from tests.inbox.conftest import NOW, Inbox


class Site:
    """A running inbox; `close` it. The same folder and port make it one that was restarted."""

    trouble: str | None = None
    """Why nothing new can come in, as its pages are told."""

    def __init__(self, folder: Path, port: int = 0, *, user_header: str = "", networks: tuple = (), burst: float = 900):
        self.inbox = Inbox(folder / "inbox.db", burst)
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.user_header, self.networks = user_header, networks
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(30)

    async def _serve(self) -> None:
        pages = Pages()
        database = self.inbox.database
        self._loop = asyncio.get_running_loop()
        self.live = Live(database, pages, trouble=lambda: self.trouble)
        access = Access(database, user_header=self.user_header, networks=self.networks, local=True)
        pipeline = Pipeline({"ingest": "http://127.0.0.1:9"}, KafkaSettings(bootstrap_servers="127.0.0.1:9"))
        app = create_app(database, access, pages, self.live, pipeline)
        config = uvicorn.Config(app, log_config=None, lifespan="off", proxy_headers=False, timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._server.capture_signals = _none  # type: ignore[method-assign]
        self._loop.call_later(0.05, self._ready.set)
        await self._server.serve([self._socket])

    def take(self, *events: EnrichedEvent) -> None:
        self.inbox.take(*events)
        self._loop.call_soon_threadsafe(self.live.wake)

    def deliver(self, *receipts: Receipt) -> None:
        threads = self.inbox.store.take(Batch(receipts=[(each, NOW.timestamp()) for each in receipts]))
        self._loop.call_soon_threadsafe(self.live.wake, threads)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self.live.close)
        self._server.should_exit = True
        self._thread.join(30)
        self._socket.close()
        self.inbox.database.close()


class _none:  # noqa: N801 - stands in for a method
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...
