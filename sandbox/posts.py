"""Senders that post to a hook, each body once and never again, and the journal of what they were answered."""

import asyncio
import base64
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import TracebackType
from typing import BinaryIO, Self
from uuid import UUID

import httpx
import orjson

from sandbox import bodies

SIZE = 900
"""Bytes of a body, about."""
PAUSE = 0.03
"""Seconds a sender waits at most between two posts."""
REFUSED_PAUSE = 0.1
"""Seconds after an answer that was none: the port is closed just now."""
PATIENCE = 10.0
"""Seconds a sender waits for an answer."""
NO_ANSWER = 0


@dataclass
class Post:
    """One body, posted once; `begun` and `ended` are places in the journal, the times Unix seconds."""

    body: bytes
    alert: str
    begun: int
    at: float
    ended: int = -1
    until: float = float("inf")
    status: int = NO_ANSWER

    @property
    def accepted(self) -> bool:
        """Whether it was answered 2xx, which is a promise."""
        return 200 <= self.status < 300  # noqa: PLR2004


class PostJournal:
    """An append-only file; a line is on the disk before its writer goes on, and one wait serves all who wait."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[asyncio.Future[None]] = []
        self._syncing: asyncio.Task[None] | None = None
        self._file: BinaryIO

    def __enter__(self) -> Self:
        self._file = self._path.open("ab")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    async def posting(self, number: int, alert: str, body: bytes) -> None:
        """Note a post that is about to be made."""
        await self._write({"post": number, "at": time.time(), "alert": alert, "body": base64.b64encode(body).decode()})

    async def answered(self, number: int, status: int) -> None:
        """Note its answer; NO_ANSWER when there was none."""
        await self._write({"answer": number, "at": time.time(), "status": status})

    async def _write(self, line: dict[str, object]) -> None:
        self._file.write(orjson.dumps(line) + b"\n")
        self._file.flush()
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        if self._syncing is None:
            self._syncing = asyncio.create_task(self._sync())
        await done

    async def _sync(self) -> None:
        while self._waiting:
            served, self._waiting = self._waiting, []
            await asyncio.to_thread(os.fsync, self._file.fileno())
            for done in served:
                if not done.done():
                    done.set_result(None)
        self._syncing = None


def read(path: Path) -> list[Post]:
    """Return what a journal says, in the order in which the posts began."""
    posts: dict[int, Post] = {}
    with path.open("rb") as file:
        for place, text in enumerate(file):
            line = orjson.loads(text)
            if "post" in line:
                posts[line["post"]] = Post(base64.b64decode(line["body"]), line["alert"], place, line["at"])
            else:
                post = posts[line["answer"]]
                post.ended, post.until, post.status = place, line["at"], line["status"]
    return list(posts.values())


def draw(random: Random, alerts: list[str], community: str) -> Iterator[tuple[str, bytes]]:
    """Yield alerts and bodies without end, no two alike; some carry the vendor's id, some a time, some neither."""
    at, number = time.time_ns() // 1000, 0
    while True:
        at, number, alert, kind = at + 1, number + 1, random.choice(alerts), random.random()
        attributes = {"uuid": alert, "updated": {"similar": number}, "padding": ""}
        event = UUID(int=random.getrandbits(128)) if kind < 0.6 else None  # noqa: PLR2004 - the mix
        body = bodies.body("alert", "updated", attributes, at=at, community=community, event=event)
        if kind > 0.85:  # noqa: PLR2004
            del body["metadata"]["created_at"]
        attributes["padding"] = "x" * max(0, SIZE - len(orjson.dumps(body)))
        yield alert, orjson.dumps(body)


class Senders:
    """Post from several connections at once, all of them for the same alerts."""

    def __init__(self, hook_url: str, journal: PostJournal, posts: Iterator[tuple[str, bytes]], random: Random) -> None:
        self._hook_url = hook_url
        self._journal = journal
        self._posts = posts
        self._random = random
        self._count = 0
        self.statuses: dict[int, int] = {}
        self.slowest = 0.0
        """Seconds the longest wait for an answer took."""

    async def run(self, count: int, stop: asyncio.Event) -> None:
        """Post from `count` senders until told to stop."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(count):
                tasks.create_task(self._send(stop))

    async def _send(self, stop: asyncio.Event) -> None:
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
            while not stop.is_set():
                alert, body = next(self._posts)
                number = self._count = self._count + 1
                await self._journal.posting(number, alert, body)
                began = time.monotonic()
                status = await self._post(client, body)
                if status != NO_ANSWER:
                    self.slowest = max(self.slowest, time.monotonic() - began)
                await self._journal.answered(number, status)
                self.statuses[status] = self.statuses.get(status, 0) + 1
                await asyncio.sleep(REFUSED_PAUSE if status == NO_ANSWER else self._random.uniform(0, PAUSE))

    async def _post(self, client: httpx.AsyncClient, body: bytes) -> int:
        try:
            answer = await client.post(self._hook_url, content=body, headers={"Content-Type": "application/json"})
        except httpx.TransportError:
            return NO_ANSWER
        return answer.status_code
