"""The private port of a sink: /healthz and /metrics, served from a thread of its own."""

import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from events.errors import NotReady

Health = Callable[[], tuple[bool, dict[str, Any]]]


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: a probe every few seconds is no news."""


def serve(host: str, port: int, health: Health) -> None:
    """Answer until the process ends.

    Raises NotReady when the port is taken.
    """

    def app(environ: dict[str, Any], start: Callable[[str, list[tuple[str, str]]], Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            start("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
            return [generate_latest()]
        if path != "/healthz":
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"not found\n"]
        ready, details = health()
        start("200 OK" if ready else "503 Service Unavailable", [("Content-Type", "application/json")])
        return [orjson.dumps({"ready": ready, **details})]

    try:
        server = make_server(host, port, app, handler_class=_Quiet)
    except OSError as error:
        raise NotReady(f"The admin port {host}:{port} cannot be opened: {error.strerror}.") from error
    threading.Thread(target=server.serve_forever, name="admin port", daemon=True).start()
