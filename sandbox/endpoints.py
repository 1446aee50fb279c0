"""Simulated receivers beside Teams: each checks, limits and answers as the real one does, and keeps what it showed."""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import SecretStr

from sandbox import message_limits
from sandbox.message_limits import Refused
from sinks.standard_webhooks import sign

SECRET = "whsec_c2ltdWxhdGVkLXRvY3Npbi1yZWNlaXZlci1zZWNyZXQ="  # noqa: S105 - opens nothing
BOT_TOKEN, BOT_CHANNEL = "simulated-bot-token", "a" * 26
TOKEN, KEY = "123456:simulated", "simulated-key"
TOLERANCE = 300
"""Seconds a signature may be old, as the specification's libraries have it."""

_KEPT = 500

SLACK_REFUSALS = {
    "archived": (410, "channel_is_archived"),
    "forbidden": (403, "action_prohibited"),
    "gone": (404, "no_service"),
    "lost": (404, "channel_not_found"),
}
"""What an address that ends in this word is answered, as Slack's page on webhook errors has it."""

MATTERMOST_REFUSALS = {
    "gone": (400, "web.incoming_webhook.invalid.app_error", "Invalid webhook."),
    "lost": (400, "web.incoming_webhook.channel.app_error", "Couldn't find the channel."),
    "locked": (403, "web.incoming_webhook.channel_locked.app_error", "This webhook is not permitted to post to it."),
}

TELEGRAM_REFUSALS = {
    "0": (400, "Bad Request: chat not found", {}),
    "-403": (403, "Forbidden: bot was kicked from the group chat", {}),
    "-400": (400, "Bad Request: group chat was upgraded to a supergroup chat", {"migrate_to_chat_id": -1001}),
}
"""What a chat with this number is answered."""


@dataclass(frozen=True)
class Shown:
    """One message that was taken."""

    seq: int
    at: float
    kind: str
    content: dict[str, object]


@dataclass
class Window:
    """At most `limit` in any `seconds`."""

    limit: int
    seconds: float
    taken: deque[float] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        """Return 0 and count it, or the seconds until the next one would be taken."""
        while self.taken and self.taken[0] <= now - self.seconds:
            self.taken.popleft()
        if len(self.taken) >= self.limit:
            return self.taken[0] + self.seconds - now
        self.taken.append(now)
        return 0.0

    def next(self, now: float) -> float:
        """Return the seconds until the next one would be taken, without counting one."""
        return max(self.taken[0] + self.seconds - now, 0.0) if len(self.taken) >= self.limit else 0.0

    @property
    def left(self) -> int:
        """How many more would be taken now."""
        return self.limit - len(self.taken)


class Endpoints:
    """Mattermost, Slack, Telegram, a signed webhook and IFTTT; limits as in their documents."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.shown: deque[Shown] = deque(maxlen=_KEPT)
        self.repeated = 0
        self.drops: set[str] = set()
        """Incoming webhooks of Mattermost that accept a message and show it nowhere."""
        self._ids: deque[str] = deque(maxlen=_KEPT)
        self._clock = clock
        self._seq = 0
        self._mattermost = Window(100, 10.0)  # 10 a second, bursts of 100
        self._slack = Window(5, 5.0)  # one a second, short bursts
        self._telegram = Window(20, 60.0)  # a group

    def mattermost(self, raw: bytes, hook: str = "") -> Response:
        """Answer a post to an incoming webhook."""
        wait = self._mattermost.wait(self._clock())
        headers = {
            "X-RateLimit-Limit": str(self._mattermost.limit),
            "X-RateLimit-Remaining": str(self._mattermost.left),
            "X-RateLimit-Reset": str(math.ceil(self._mattermost.next(self._clock()))),
        }
        if wait:
            return Response("limit exceeded\n", 429, headers | {"Retry-After": str(round(wait) + 1)}, "text/plain")
        if hook in MATTERMOST_REFUSALS:
            status, id_, message = MATTERMOST_REFUSALS[hook]
            return _json({"id": id_, "message": message, "status_code": status}, status, headers)
        try:
            content = message_limits.mattermost(raw)
        except Refused as error:
            told = {"id": "web.incoming_webhook.error", "message": str(error), "status_code": 400}
            return _json(told, 400, headers)
        done = Response("ok", 200, headers, "text/plain")
        if hook in self.drops:
            return done
        for post in message_limits.mattermost_posts(content):
            self._take("mattermost", post, done)
        return done

    def slack(self, raw: bytes, hook: str = "") -> Response:
        """Answer a post to an incoming webhook."""
        wait = self._slack.wait(self._clock())
        if wait:
            seconds = round(wait) + 1
            told = {"retry_after": seconds, "ok": False, "error": "rate_limited"}
            return _json(told, 429, {"Retry-After": str(seconds)})
        if hook in SLACK_REFUSALS:
            status, word = SLACK_REFUSALS[hook]
            return Response(word, status, media_type="text/plain")
        try:
            content = message_limits.slack(raw)
        except Refused as error:
            return Response(str(error), 400, media_type="text/plain")
        return self._take("slack", content, Response("ok", media_type="text/plain"))

    def telegram(self, token: str, raw: bytes) -> Response:
        """Answer sendMessage of the Bot API."""
        if token != TOKEN:
            return _bot(401, "Unauthorized")
        wait = self._telegram.wait(self._clock())
        if wait:
            seconds = round(wait) + 1
            return _bot(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)
        try:
            content = message_limits.telegram(raw)
        except Refused as error:
            return _bot(400, f"Bad Request: {error}")
        if str(content["chat_id"]) in TELEGRAM_REFUSALS:
            status, words, parameters = TELEGRAM_REFUSALS[str(content["chat_id"])]
            return _bot(status, words, **parameters)
        return self._take("telegram", content, _json({"ok": True, "result": {"message_id": self._seq + 1}}, 200))

    def webhook(self, raw: bytes, headers: dict[str, str]) -> Response:
        """Verify and take a Standard Webhooks post; a repeated id is counted and shown once."""
        message_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not stamp.isdecimal() or abs(self._clock() - int(stamp)) > TOLERANCE:
            return _json({"error": "the timestamp is missing or too old"}, 401)
        right = sign([SecretStr(SECRET)], message_id, datetime.fromtimestamp(int(stamp), UTC), raw)["webhook-signature"]
        if right not in headers.get("webhook-signature", "").split(" "):
            return _json({"error": "no signature matches"}, 401)
        if message_id in self._ids:
            self.repeated += 1
            return Response(status_code=204)
        self._ids.append(message_id)
        return self._take("webhook", orjson.loads(raw), Response(status_code=204))

    def ifttt(self, event: str, key: str, raw: bytes) -> Response:
        """Answer a trigger of the Webhooks service."""
        if key != KEY:
            return _json({"errors": [{"message": "You sent an invalid key."}]}, 401)
        try:
            content = message_limits.ifttt(raw)
        except Refused as error:
            return _json({"errors": [{"message": str(error)}]}, 400)
        done = Response(f"Congratulations! You've fired the {event} event", media_type="text/plain")
        return self._take("ifttt", {"event": event, **content}, done)

    def mail(self, content: dict[str, object]) -> None:
        """Keep a mail that the mailbox took."""
        self._take("mail", content, Response())

    def _take(self, kind: str, content: dict[str, object], answer: Response) -> Response:
        self._seq += 1
        self.shown.append(Shown(self._seq, self._clock(), kind, content))
        return answer


def routes(endpoints: Endpoints) -> APIRouter:
    """Return the addresses to put into a rules file; `sandbox.messages` shows what was taken."""
    router = APIRouter()

    @router.post("/mattermost/hooks/{hook}")
    async def mattermost(hook: str, request: Request) -> Response:
        return endpoints.mattermost(await request.body(), hook)

    @router.get("/mattermost/api/v4/channels/{channel}/posts")
    async def posts(channel: str, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {BOT_TOKEN}" or channel != BOT_CHANNEL:
            return _json({"message": "Invalid or expired session, please login again.", "status_code": 401}, 401)
        found = {str(one.seq): one.content for one in endpoints.shown if one.kind == "mattermost"}
        return _json({"order": list(found), "posts": found}, 200)

    @router.post("/slack/services/{rest:path}")
    async def slack(rest: str, request: Request) -> Response:
        return endpoints.slack(await request.body(), rest.rpartition("/")[2])

    @router.post("/telegram/bot{token}/sendMessage")
    async def telegram(token: str, request: Request) -> Response:
        return endpoints.telegram(token, await request.body())

    @router.post("/webhook")
    async def webhook(request: Request) -> Response:
        return endpoints.webhook(await request.body(), dict(request.headers))

    @router.post("/ifttt/trigger/{event}/with/key/{key}")
    async def ifttt(event: str, key: str, request: Request) -> Response:
        return endpoints.ifttt(event, key, await request.body())

    return router


def _json(content: object, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, "application/json")


def _bot(status: int, description: str, **parameters: int) -> Response:
    told = {"ok": False, "error_code": status, "description": description}
    return _json(told | ({"parameters": parameters} if parameters else {}), status)
