"""The public port on a real socket, with its publisher in this process."""

import asyncio
import contextlib
import logging
import re
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace

from prometheus_client import CollectorRegistry

from ingest import server
from ingest.app import Webhooks
from ingest.hooks import Hooks
from ingest.metrics import IngestMetrics
from ingest.settings import IngestSettings

TOKEN = "s3cret-token-of-the-soc"


class Kept:
    """A publisher that keeps what it is given, after a moment where asked to."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.takes = 0.0

    async def publish(self, record) -> None:
        if self.takes:
            await asyncio.sleep(self.takes)
        self.bodies.append(record.value)


class Served:
    """A running server."""

    def __init__(self, **settings) -> None:
        self.publisher = Kept()
        self.registry = CollectorRegistry()
        self.most = settings.pop("most", 1000)
        self.settings = IngestSettings(_env_file=None, **settings)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        metrics = IngestMetrics(self.registry)
        hooks = Hooks.parse(f"soc={TOKEN}")
        known = SimpleNamespace(find=lambda token, scope: hooks.find(token))
        self.server = server.PublicServer(self.settings, Webhooks(known, self.publisher, metrics), metrics, self.most)
        serving = asyncio.create_task(self.server.serve([self.listener]))
        while not self.server.started:
            await asyncio.sleep(0.01)
        self._ready.set()
        await serving

    def __enter__(self):
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_):
        self.stop()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def stop(self) -> None:
        self.server.should_exit = True

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def talk(self, *pieces: bytes, half_close: bool = True) -> bytes:
        """Send these, and return all that comes back until the server closes."""
        with self.connect() as sock:
            with contextlib.suppress(OSError):
                for piece in pieces:
                    sock.sendall(piece)
                if half_close:
                    sock.shutdown(socket.SHUT_WR)
            return read_all(sock)

    def count(self, reason: str) -> float:
        return self.registry.get_sample_value("tocsin_ingest_rejected_total", {"reason": reason}) or 0


def read_all(sock: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(65536):
            received += chunk
    return received


def answer(sock: socket.socket) -> int:
    """Read one answer of a connection that stays open."""
    received = b""
    while not re.search(rb"\r\n\r\n.*\n", received):
        received += sock.recv(4096)
    [(status, _)] = answers(received)
    return status


def ask(sock: socket.socket, request: bytes) -> int:
    sock.sendall(request)
    return answer(sock)


def post(body: bytes, *headers: str, path: str = f"/hooks/{TOKEN}") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: door", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answers(received: bytes) -> Iterator[tuple[int, str]]:
    """Read responses; each must be whole: a status, headers, and one line of plain text."""
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.decode("ascii").split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        assert version == "HTTP/1.1"
        if status == "100":
            received = rest
            continue
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        assert headers["content-type"] == "text/plain; charset=utf-8"
        length = int(headers["content-length"])
        text = rest[:length].decode()
        # The answer to HEAD has a length and no text; it is the last one here.
        assert (text.endswith("\n") and text.count("\n") == 1 and len(text) == length) or not rest
        yield int(status), text.strip()
        received = rest[len(text.encode()) :]
