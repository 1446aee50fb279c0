"""What ingest is measured beside; `python -m bench.ingest_contenders NAME CORE` serves one on BENCH_PORT.

The three servers are run alike: uvicorn with uvloop and httptools, no access log, one process, acks=all.
"""

import asyncio
import hmac
import os
import sys
import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime

TOKEN = "token-of-the-benchmark-only"
ANSWER = b"accepted\n"


def pydantic():
    """The usual endpoint: a model for the body, and send_and_wait."""
    from typing import Any

    from aiokafka import AIOKafkaProducer
    from fastapi import FastAPI, HTTPException
    from fastapi.responses import PlainTextResponse
    from pydantic import BaseModel

    from events.topics import Topics

    class Attributes(BaseModel):
        uuid: str
        short_id: str
        updated: dict[str, Any] | None = None

    class Metadata(BaseModel):
        version: int
        created_at: datetime
        community_uuid: str
        uuid: str | None = None
        avatar_uuid: str | None = None
        user_uuid: str | None = None
        permissions: list[str] = []

    class Notification(BaseModel):
        type: str
        action: str
        attributes: Attributes
        metadata: Metadata

    kafka = _kafka()
    topic = Topics(kafka.topic_prefix).raw

    @asynccontextmanager
    async def lifespan(app):
        app.state.producer = AIOKafkaProducer(**kafka.client_options(), acks="all")
        await app.state.producer.start()
        yield
        await app.state.producer.stop()

    app = FastAPI(lifespan=lifespan)

    @app.post("/hooks/{token}", response_class=PlainTextResponse)
    async def hook(token: str, notification: Notification) -> str:
        if not hmac.compare_digest(token, TOKEN):
            raise HTTPException(404)
        key = notification.attributes.uuid.encode()
        await app.state.producer.send_and_wait(topic, notification.model_dump_json().encode(), key)
        return ANSWER.decode()

    _serve(app, lifespan="on")


def bare():
    """A bare ASGI callable that writes the same record as ingest and checks the same things, with nothing around it."""
    import orjson
    from aiokafka import AIOKafkaProducer
    from aiokafka.partitioner import murmur2

    from events.identity import identify
    from events.topics import MAX_BODY, Topics

    kafka = _kafka()
    topic, prefix = Topics(kafka.topic_prefix).raw, "/hooks/"
    plain = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(ANSWER)).encode())]
    start = {"type": "http.response.start", "status": 200, "headers": plain}
    body_sent = {"type": "http.response.body", "body": ANSWER}
    running = {}

    async def refuse(send, status):
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            running["producer"] = AIOKafkaProducer(
                **kafka.client_options(), acks="all", enable_idempotence=True, max_batch_size=128 * 1024
            )
            await running["producer"].start()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await running["producer"].stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
        path = scope["path"]
        if not path.startswith(prefix) or not hmac.compare_digest(path[len(prefix) :].encode(), TOKEN.encode()):
            await refuse(send, 404)
            return
        message = await receive()
        body = message["body"]
        while message["more_body"] and len(body) <= MAX_BODY:
            message = await receive()
            body += message["body"]
        try:
            event = orjson.loads(body)
        except orjson.JSONDecodeError:
            event = None
        if len(body) > MAX_BODY or not isinstance(event, dict):
            await refuse(send, 400)
            return
        delivery = uuid.uuid4().hex
        identity = identify(event, body, delivery)
        headers = [
            ("event-id", identity.event_id.encode()),
            ("event-id-kind", identity.kind.encode()),
            ("delivery-id", delivery.encode()),
            ("received-at", datetime.now(UTC).isoformat(timespec="microseconds").encode()),
            ("tenant", b"default"),
            ("hook", b"bench"),
            ("origin", b"webhook"),
        ]
        partition = (murmur2(identity.key) & 0x7FFFFFFF) % kafka.partitions
        ack = await running["producer"].send(topic, body, identity.key, partition=partition, headers=headers)
        await ack
        await send(start)
        await send(body_sent)

    _serve(app, lifespan="on")


def tocsin():
    """Ingest as it ships: `tocsin ingest`."""
    os.execv(sys.executable, [sys.executable, "-m", "ops", "ingest"])  # noqa: S606


def nothing():
    """Answer 200 to whatever comes: what the load can do at most."""
    import uvloop

    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)

    class Echo(asyncio.Protocol):
        def connection_made(self, transport):
            self._transport = transport

        def data_received(self, data):
            self._transport.write(answer)

    async def main():
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", int(os.environ["BENCH_PORT"]))
        await server.serve_forever()

    uvloop.run(main())


def _kafka():
    from events.settings import KafkaSettings

    return KafkaSettings(_env_file=None)


def _serve(app, lifespan):
    import uvicorn

    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan=lifespan,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_level="error",
    )


CONTENDERS = {each.__name__: each for each in (pydantic, bare, tocsin, nothing)}


if __name__ == "__main__":
    name, core = sys.argv[1:]
    if core != "any":
        os.sched_setaffinity(0, {int(core)})
    CONTENDERS[name]()
