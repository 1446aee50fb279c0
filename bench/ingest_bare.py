"""As little as can stand between a webhook and the record that ingest writes of it: an ASGI callable and a producer."""

import hmac
import uuid
from datetime import UTC, datetime

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from events.identity import identify
from events.topics import MAX_BODY, Topics

PREFIX = "/hooks/"


class Bare:
    """Writes the same record as ingest and checks the same things, with nothing around it."""

    def __init__(self, kafka, secret, answer):
        self._kafka, self._secret = kafka, secret.encode()
        self._topic = Topics(kafka.topic_prefix).raw
        plain = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(answer)).encode())]
        self._start = {"type": "http.response.start", "status": 200, "headers": plain}
        self._body = {"type": "http.response.body", "body": answer}

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        path = scope["path"]
        if not path.startswith(PREFIX) or not hmac.compare_digest(path[len(PREFIX) :].encode(), self._secret):
            await refuse(send, 404)
            return
        body = await read(receive)
        event = parse(body)
        if len(body) > MAX_BODY or not isinstance(event, dict):
            await refuse(send, 400)
            return
        await self._write(event, body)
        await send(self._start)
        await send(self._body)

    async def _live(self, receive, send):
        await receive()
        self._producer = AIOKafkaProducer(
            **self._kafka.client_options(), acks="all", enable_idempotence=True, max_batch_size=128 * 1024
        )
        await self._producer.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._producer.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _write(self, event, body):
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
        partition = (murmur2(identity.key) & 0x7FFFFFFF) % self._kafka.partitions
        sent = await self._producer.send(self._topic, body, identity.key, partition=partition, headers=headers)
        await sent


async def read(receive):
    """Return the body, cut where it is too long."""
    message = await receive()
    body = message["body"]
    while message["more_body"] and len(body) <= MAX_BODY:
        message = await receive()
        body += message["body"]
    return body


def parse(body):
    """Return what the JSON says, None where it is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


async def refuse(send, status):
    """Answer with a status and nothing else."""
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})
