"""The public port: `POST /hooks/{token}` and nothing else.

A bare ASGI callable, because every event passes here: a route inside a framework measured half its speed.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from starlette.types import Receive, Scope, Send

from events.errors import MalformedRecord
from events.topics import MAX_BODY
from ingest import body
from ingest.accept import accept
from ingest.answers import ACCEPTED, METHOD, NOT_FOUND, Answer, Refused, malformed, not_published
from ingest.delivery_id import delivery_ids
from ingest.hooks import Hook
from ingest.metrics import IngestMetrics
from ingest.publisher import NotPublished, Publisher

PATH = "/hooks/"

BODY = "tocsin.body"
"""In the state of a request whose body has arrived whole before anybody asked for it."""

REPLY = "tocsin.reply"
"""In the state of a request: a short way to answer it, where the server has one."""


_NOTHING: dict[str, Any] = {}


def _now() -> datetime:
    return datetime.now(UTC)


class Known(Protocol):
    """Who may post."""

    def find(self, token: str, scope: Scope) -> Hook | None:
        """Return the hook the token opens to the sender of this request."""


class Webhooks:
    """Accept webhooks: 200 means the publisher has the event, anything else that it may not."""

    def __init__(
        self, hooks: Known, publisher: Publisher, metrics: IngestMetrics, clock: Callable[[], datetime] = _now
    ) -> None:
        self._hooks = hooks
        self._publisher = publisher
        self._metrics = metrics
        self._clock = clock
        self._delivery_ids = delivery_ids()
        self.stopping = False
        """Whether every answer is to be the last on its connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise NotImplementedError(f"webhooks come over http, not {scope['type']}")
        try:
            answer, unread = await self._accept(scope, receive), False
            reply = scope.get("state", _NOTHING).get(REPLY)
            if reply and reply(answer, last=self.stopping):
                return
        except Refused as refused:
            self._metrics.rejected(refused.reason)
            answer, unread = refused.answer, refused.unread
        await send(answer.last if self.stopping else answer.start)
        await send({"type": "http.response.body", "body": answer.line, "more_body": unread})
        if unread:
            await body.discard(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _accept(self, scope: Scope, receive: Receive) -> Answer:
        hook = self._hook(scope)
        headers = dict(scope["headers"])
        content = scope.get("state", _NOTHING).get(BODY)
        if content is None or len(content) > MAX_BODY:
            content = await body.read(receive, headers.get(b"content-length"))
        started = time.perf_counter()
        try:
            record = accept(
                content,
                hook,
                delivery_id=next(self._delivery_ids),
                received_at=self._clock(),
                traceparent=headers.get(b"traceparent"),
            )
            await self._publisher.publish(record)
        except MalformedRecord as error:
            raise Refused("malformed", malformed(str(error))) from error
        except NotPublished as error:
            raise Refused("not_published", not_published(str(error))) from error
        self._metrics.accepted(hook, time.perf_counter() - started)
        return ACCEPTED

    def _hook(self, scope: Scope) -> str:
        """Return the hook's name; an unknown token looks like any unknown path."""
        path: str = scope["path"]
        hook = self._hooks.find(path[len(PATH) :], scope) if path.startswith(PATH) else None
        if hook is None:
            raise Refused("unknown", NOT_FOUND)
        if scope["method"] != "POST":
            raise Refused("method", METHOD)
        return hook.name
