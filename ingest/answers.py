"""What ingest answers: one plain line, always."""

import http
from collections.abc import Iterable
from dataclasses import dataclass, field

from events.topics import MAX_BODY
from ingest.metrics import Reason

RETRY_AFTER = 5
"""Seconds a sender is asked to wait when neither Kafka nor the spool took its event."""

Header = tuple[bytes, bytes]
CLOSE: Header = (b"connection", b"close")


@dataclass(frozen=True)
class Answer:
    """An answer, as the two messages ASGI takes."""

    status: int
    text: str
    headers: tuple[Header, ...] = ()
    start: dict[str, object] = field(init=False, repr=False)
    last: dict[str, object] = field(init=False, repr=False)
    """`start`, for the last answer on a connection."""
    line: bytes = field(init=False, repr=False)
    kept: bytes = field(init=False, repr=False)
    """The answer as it goes over a connection that is kept."""

    def __post_init__(self) -> None:
        line = f"{self.text}\n".encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(line)).encode())]
        start = {"type": "http.response.start", "status": self.status, "headers": [*headers, *self.headers]}
        object.__setattr__(self, "line", line)
        object.__setattr__(self, "start", start)
        last = start if CLOSE in self.headers else start | {"headers": [*headers, *self.headers, CLOSE]}
        object.__setattr__(self, "last", last)
        object.__setattr__(self, "kept", self._raw([*headers, *self.headers]))

    @property
    def raw(self) -> bytes:
        """The last answer of a connection as it goes over the wire, where no application is asked."""
        headers: list[Header] = self.last["headers"]  # type: ignore[assignment]
        return self._raw(headers)

    def _raw(self, headers: Iterable[Header]) -> bytes:
        phrase = http.HTTPStatus(self.status).phrase
        lines = [f"HTTP/1.1 {self.status} {phrase}".encode(), *(name + b": " + value for name, value in headers)]
        return b"\r\n".join([*lines, b"", self.line])


class Refused(Exception):
    """The request is answered with something other than 200."""

    def __init__(self, reason: Reason, answer: Answer, *, unread: bool = False) -> None:
        """Take the answer, and whether the sender is still sending."""
        super().__init__(answer.text)
        self.reason: Reason = reason
        self.answer = answer
        self.unread = unread


ACCEPTED = Answer(200, "accepted")
NOT_FOUND = Answer(404, "not found")
METHOD = Answer(405, "only POST is allowed here", ((b"allow", b"POST"),))
TOO_LARGE = Answer(413, f"larger than {MAX_BODY} bytes", (CLOSE,))
SLOW = Answer(408, "the body did not arrive in time", (CLOSE,))
NOT_HTTP = Answer(400, "not an HTTP request", (CLOSE,))
HEAD_SLOW = Answer(408, "the head of the request did not arrive in time", (CLOSE,))
HEAD_TOO_LARGE = Answer(431, "the head of the request is too large", (CLOSE,))
CROWDED = Answer(503, "too many connections", ((b"retry-after", str(RETRY_AFTER).encode()), CLOSE))
GONE = Answer(400, "the body is incomplete", (CLOSE,))


def malformed(reason: str) -> Answer:
    """Return the answer to a body that is not a JSON object."""
    return Answer(400, reason)


def not_published(reason: str) -> Answer:
    """Return the answer to an event that is not durable: please send it again."""
    return Answer(503, reason, ((b"retry-after", str(RETRY_AFTER).encode()),))
