"""A simulated Teams channel: the address a Workflow would give, and a page that shows the cards as people see them."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any
from uuid import uuid4

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from sandbox import adaptive_card, faults
from sandbox.faults import HANG, Fault, Faults, until_gone
from sandbox.quirks import Quirks

_CSP = (
    "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_SIZE = 200


@dataclass(frozen=True)
class Answer:
    """What a POST is answered; status HANG means nothing at all."""

    status: int
    reason: str = ""
    run_id: str = ""
    retry_after: float | str | None = None

    def response(self) -> Response:
        """Return it as HTTP."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.run_id:
            return Response(status_code=self.status, headers=headers | {"x-ms-workflow-run-id": self.run_id})
        return JSONResponse({"error": {"message": self.reason}}, self.status, headers)


@dataclass
class Post:
    """One card that came in and what it was answered; a message that is refused is one post."""

    seq: int
    at: float
    workflow: str
    event_id: str | None
    card: dict[str, Any] | None
    status: int
    shown: bool
    reason: str
    run_id: str
    size: int


class TeamsReceiver:
    """What a Teams Workflow does with a POST: check the message, answer 202 and a run id, show the cards.

    `posts` holds every attempt in order of arrival, bounded by `keep`; only the newest `keep_cards` keep their card.
    A post's `event_id` is the `id` of the card's first element. `sig`, when given, is what the address must end in,
    compared as sent: a client that re-encodes it is refused, as by the real one. `latency` is in seconds.
    """

    def __init__(
        self,
        *,
        quirks: Quirks | None = None,
        sig: str | None = None,
        latency: float = 0.0,
        keep: int | None = None,
        keep_cards: int = 1000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.posts: list[Post] = []
        self.faults = Faults()
        self.latency = latency
        self._quirks = quirks or Quirks()
        self._sig = sig
        self._keep = keep
        self._keep_cards = keep_cards
        self._clock = clock
        self._seq = 0
        self._shown = 0

    def url(self, base: str, workflow: str = "soc") -> str:
        """Return the address to put into TEAMS_WEBHOOK_URL; `base` is where this is served."""
        return f"{base.rstrip('/')}/teams/{workflow}?sig={self._sig or 'simulated'}"

    def answer_with(
        self, status: int, *, retry_after: float | str | None = None, times: int = 1, after: bool = False
    ) -> None:
        """Answer the next posts with this status, for example 429 with a Retry-After; see Faults."""
        self.faults.answer_with(status, retry_after=retry_after, times=times, after=after)

    def hang(self, *, times: int = 1, after: bool = False) -> None:
        """Leave the next posts without an answer; with `after` their cards are shown all the same."""
        self.faults.hang(times=times, after=after)

    def accepted(self) -> Counter[str]:
        """Return how many times each event id was accepted: answered 202, or taken with another answer."""
        return Counter(post.event_id for post in self.posts if post.event_id and (post.status == 202 or post.shown))  # noqa: PLR2004

    def figures(self) -> dict[str, int]:
        """Return the number of the last post, and how many of all were shown and not."""
        return {"last": self._seq, "shown": self._shown, "not_shown": self._seq - self._shown}

    def since(self, seq: int, limit: int = _PAGE_SIZE) -> list[Post]:
        """Return what came in after the given number, at most `limit`; -100 asks for the newest hundred."""
        if seq < 0:
            return self.posts[seq:][-limit:]
        first = self.posts[0].seq if self.posts else 0
        start = max(0, seq + 1 - first)
        return self.posts[start : start + limit]

    def take(self, workflow: str, raw: bytes, *, query: str = "", authorization: str | None = None) -> Answer:
        """Receive one POST and say what to answer."""
        fault = self.faults.next()
        if fault and not fault.after:
            self._record(workflow, raw, _fault_answer(fault), _unchecked_cards(raw), shown=False)
            return _fault_answer(fault)
        answer, cards = self._check(raw, query, authorization)
        if fault and answer.run_id:
            answer = _fault_answer(fault)
        shown = bool(cards) and not self._quirks.accept_and_drop
        self._record(workflow, raw, answer, cards or _unchecked_cards(raw), shown=shown)
        return answer

    def _check(self, raw: bytes, query: str, authorization: str | None) -> tuple[Answer, list[dict[str, Any]]]:
        if authorization is not None:
            return Answer(401, "this trigger is open to anyone and takes no Authorization header"), []
        sig = query.rpartition("sig=")[2]
        if not sig or (self._sig and sig != self._sig):
            return Answer(403, "the address lacks its signature, or it was changed on the way"), []
        try:
            cards = adaptive_card.cards(raw)
        except adaptive_card.BadCard as error:
            return Answer(400, str(error)), []
        return Answer(202, run_id=uuid4().hex), cards

    def _record(
        self, workflow: str, raw: bytes, answer: Answer, cards: Sequence[dict[str, Any] | None], *, shown: bool
    ) -> None:
        for card in cards:
            self._seq += 1
            self._shown += shown
            post = Post(self._seq, self._clock(), workflow, _event_id(card), card, answer.status, shown, answer.reason,
                        answer.run_id, len(raw))  # fmt: skip
            self.posts.append(post)
            if len(self.posts) > self._keep_cards:
                self.posts[-1 - self._keep_cards].card = None
            if self._keep and len(self.posts) > self._keep:
                del self.posts[0]


def routes(teams: TeamsReceiver) -> APIRouter:
    """Return the Workflow's address, the page that shows the channel, and the same as JSON for tools."""
    router = APIRouter()
    router.include_router(faults.routes(teams.faults, "/_sandbox/teams/answer"))
    page = resources.files("sandbox").joinpath("receivers.html").read_text("utf-8")

    @router.post("/teams/{workflow}")
    async def post(workflow: str, request: Request) -> Response:
        raw = await request.body()
        query, authorization = request.url.query, request.headers.get("authorization")
        answer = teams.take(workflow, raw, query=query, authorization=authorization)
        if teams.latency:
            await asyncio.sleep(teams.latency)
        if answer.status == HANG:
            await until_gone(request)
            return Response(status_code=504)
        return answer.response()

    @router.get("/_sandbox/teams")
    async def posts(since: int = 0, limit: int = _PAGE_SIZE) -> Response:
        found = [asdict(post) for post in teams.since(since, min(limit, _PAGE_SIZE))]
        return Response(orjson.dumps({"posts": found, **teams.figures()}), media_type="application/json")

    @router.get("/")
    async def channel() -> Response:
        nonce = secrets.token_urlsafe(16)
        headers = {"Content-Security-Policy": _CSP.format(nonce=nonce), "X-Content-Type-Options": "nosniff",
                   "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}  # fmt: skip
        return HTMLResponse(page.replace("{nonce}", nonce), headers=headers)

    return router


def create_app(teams: TeamsReceiver) -> FastAPI:
    """Return the receiver alone, for a machine without the tenant."""
    app = FastAPI(title="Simulated Teams", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(routes(teams))
    return app


def _fault_answer(fault: Fault) -> Answer:
    return Answer(fault.status, "as ordered", retry_after=fault.retry_after)


def _unchecked_cards(raw: bytes) -> list[dict[str, Any] | None]:
    """Find the first card of a message that was refused or never looked at; one post is kept either way."""
    try:
        card = orjson.loads(raw)["attachments"][0]["content"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return [None]
    return [card if isinstance(card, dict) and len(raw) <= adaptive_card.MAX_BYTES else None]


def _event_id(card: dict[str, Any] | None) -> str | None:
    try:
        name = (card or {})["body"][0]["id"]
    except (LookupError, TypeError):
        return None
    return name if isinstance(name, str) else None
