"""The endpoint most people would write: a model for the body, one record sent and waited for."""

import hmac
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, HTTPException
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from events.topics import Topics


class Attributes(BaseModel):
    """What the webhook is about."""

    uuid: str
    short_id: str
    updated: dict[str, Any] | None = None


class Metadata(BaseModel):
    """When and where it happened."""

    version: int
    created_at: datetime
    community_uuid: str
    uuid: str | None = None
    avatar_uuid: str | None = None
    user_uuid: str | None = None
    permissions: list[str] = []


class Notification(BaseModel):
    """A webhook."""

    type: str
    action: str
    attributes: Attributes
    metadata: Metadata


def application(kafka, secret, answer):
    """Return the application; it answers a webhook that has the secret in its path."""
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
        if not hmac.compare_digest(token, secret):
            raise HTTPException(404)
        key = notification.attributes.uuid.encode()
        await app.state.producer.send_and_wait(topic, notification.model_dump_json().encode(), key)
        return answer.decode()

    return app
