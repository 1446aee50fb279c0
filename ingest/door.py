"""The HTTP of the public port: uvicorn's protocol, made fit for strangers."""

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ingest.answers import CROWDED, HEAD_SLOW, HEAD_TOO_LARGE, NOT_HTTP, Answer
from ingest.app import BODY, REPLY
from ingest.crowd import Crowd
from ingest.metrics import Reason

MAX_HEAD = 32 * 1024
"""Bytes of a request's head that may wait for its end."""

MAX_PIPELINED = 16
"""Requests of one connection that may wait for the answer to an earlier one."""


class Door(HttpToolsProtocol):
    """One connection: its head bounded in size and time, its requests in number; every refusal is one plain line."""

    def __init__(self, crowd: Crowd, refused: Callable[[Reason], None], **uvicorn: Any) -> None:
        """Take who else is there, and what counts refusals."""
        super().__init__(**uvicorn)
        self._crowd = crowd
        self._refused = refused
        self._head = 0
        self._began = False
        self._left = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let the sender in, where there is room."""
        super().connection_made(transport)
        if len(self.connections) > self._crowd.most and not self._crowd.make_room():
            self._refuse("crowded", CROWDED)
            return
        self._crowd.reading(self, self.loop.time())

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the sender."""
        self._crowd.left(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and refuse a head that does not end."""
        if self.transport.is_closing():
            return
        if self._left:
            self._rest(data)
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._left = self._length()
            self.cycle.keep_alive = False
            self._rest(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("")
        if self._began:  # this read may hold the end of the body before it
            self._began = False
        elif self._crowd.is_reading(self):
            self._head += len(data)
            if self._head > MAX_HEAD and not self.transport.is_closing():
                self._refuse("too_large", HEAD_TOO_LARGE)

    def on_message_complete(self) -> None:
        """Take a body as complete, unless the parser left it to another protocol."""
        if not (self.parser.should_upgrade() and self._length()):
            super().on_message_complete()
            # Unless some of it was taken already, this is all of it.
            self.scope["state"][BODY] = bytes(self.cycle.body)

    def _rest(self, data: bytes) -> None:
        """Take the body of a request that asks for another protocol: we speak this one, and its event counts."""
        body, self._left = data[: self._left], max(0, self._left - len(data))
        if body:
            self.on_body(body)
            if not self._left:
                super().on_message_complete()

    def _length(self) -> int:
        """Return the length of the body as its head has it; the parser has refused what is no number."""
        return next((int(value) for name, value in self.headers if name == b"content-length"), 0)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Answer a sender that has said all it will say; only then close."""
        if self.scheme == "https" or not self._answering() or self.cycle.more_body:
            return None
        self.cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """Start the clock of a head."""
        super().on_message_begin()
        self._head = 0
        self._began = True
        self._crowd.reading(self, self.loop.time())

    def on_headers_complete(self) -> None:
        """Begin to answer; too many requests at once are not HTTP to us."""
        self._crowd.busy(self)
        if len(self.pipeline) >= MAX_PIPELINED:
            raise httptools.HttpParserError("too many requests at once")
        super().on_headers_complete()
        self.scope["state"][REPLY] = functools.partial(self._reply, self.cycle)

    def _reply(self, cycle: RequestResponseCycle, answer: Answer, *, last: bool) -> bool:
        """Answer in one write, already put together; False when the sender does not read, or wants it another way."""
        if last or self.flow.write_paused or not cycle.keep_alive or cycle.response_started:
            return False
        if not cycle.disconnected:
            cycle.response_started = cycle.response_complete = True
            self.transport.write(answer.kept)
            cycle.message_event.set()
            cycle.on_response()
        return True

    def on_response_complete(self) -> None:
        """Wait for the next request; the crowd is looked through now and then, so no timer is set for each."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._crowd.idle(self, self.loop.time())

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # ours is shorter
        """Refuse what is not HTTP, after the requests before it were answered."""
        self._crowd.left(self)
        if self._answering() and (self.pipeline or not self.cycle.more_body):
            self.cycle.keep_alive = False  # the last one that was understood; nobody is told about the rest
            self.flow.pause_reading()
        else:
            self._refuse("not_http", NOT_HTTP)

    def dismiss(self, reason: Reason) -> None:
        """Close; a sender in the middle of a head hears why."""
        if not self.transport.is_closing():
            self._refuse(reason, HEAD_SLOW if reason == "slow" and self._head_begun() else None)

    def leave(self) -> None:
        """Close."""
        self.transport.close()

    def _head_begun(self) -> bool:
        return self.headers is not None

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, reason: Reason, answer: Answer | None) -> None:
        self._refused(reason)
        if answer and not (self._answering() and self.cycle.response_started):
            self.transport.write(answer.raw)
        self.transport.close()
