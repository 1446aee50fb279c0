"""A webhook of one's own: the event as JSON, signed."""

import hashlib
import re
from datetime import UTC, datetime
from typing import Annotated, Literal

import orjson
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from events.codec import encode
from events.errors import MalformedRecord
from events.records import EnrichedEvent, WebhookEvent
from events.trace import TRACEPARENT, child
from sinks import responses
from sinks.destination import Delivered, Destination, TargetSettings, Undeliverable
from sinks.posting import Poster, check_url
from sinks.standard_webhooks import check_secret, sign

BODY = "tocsin-body"
"""Header that says whether the body is `verbatim` or `rebuilt`."""

_PLAIN = re.compile(r"[a-zA-Z0-9-]{1,100}")
_WORD = re.compile(r"[^a-zA-Z0-9_]+")


class WebhookSettings(TargetSettings):
    """An HTTP endpoint."""

    url: Annotated[SecretStr, AfterValidator(check_url)]
    """Where to post."""
    body: Literal["enriched", "event", "verbatim"] = Field(
        "enriched",
        description="The enriched record in a Standard Webhooks envelope, the platform's own webhook written anew, or "
        "that byte for byte.",
    )
    secrets: Annotated[
        list[Annotated[SecretStr, AfterValidator(check_secret)]],
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    ] = Field(default_factory=list, max_length=4, description="whsec_…; two while one replaces the other.")


class Webhook(Destination[WebhookSettings]):
    """Post each event to an HTTP endpoint.

    `webhook-id` is made of event id and revision and the same in every attempt: a receiver that remembers it bears the
    same event twice.
    """

    Settings = WebhookSettings
    marks_attempts = False
    tells_people = False
    at_once = 32
    named = 500

    async def open(self) -> None:
        """Make the HTTP client."""
        self._poster = Poster(self.settings.url)
        await self._poster.open(self.resources)

    @property
    def wants_original(self) -> bool:
        """Whether the bytes are to be those the platform posted."""
        return self.settings.body == "verbatim"

    async def deliver(self, event: EnrichedEvent) -> Delivered:
        """Post the event; a body that should be verbatim and is written anew is marked in header and receipt."""
        said, status = {}, ""
        original = await self.original(event) if self.wants_original and self.original else None
        try:
            body = original or (envelope(event) if self.settings.body == "enriched" else posted(event.event))
        except MalformedRecord as error:
            raise Undeliverable(str(error)) from None
        if self.wants_original:
            said, status = {BODY: "verbatim" if original else "rebuilt"}, "" if original else ", body rebuilt"
        headers = sign(self.settings.secrets, message_id(event), datetime.now(UTC), body)
        if event.traceparent and (step := child(event.traceparent)):
            headers[TRACEPARENT] = step
        answer = await self._poster.post(body, {"Content-Type": "application/json", **said, **headers})
        responses.check(answer)
        return Delivered(f"HTTP {answer.status}{status}")


def message_id(event: EnrichedEvent) -> str:
    """Return the id of an event's message; without dots, which separate what is signed."""
    plain = event.event_id
    if not _PLAIN.fullmatch(plain):  # hashed, not trimmed: two events must never share an id
        plain = hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{plain}_{event.revision}"


def posted(event: WebhookEvent) -> bytes:
    """Return the platform's own webhook: its fields, unknown ones too, in its order; white space is not kept.

    Raises MalformedRecord for what is nested too deep to be written.
    """
    return encode(event)


def envelope(event: EnrichedEvent) -> bytes:
    """Return the event as `type`, `timestamp`, `data`."""
    kind = ".".join(_WORD.sub("_", word).strip("_") or "unknown" for word in (event.event.type, event.event.action))
    data = orjson.Fragment(encode(event))
    return orjson.dumps({"type": kind, "timestamp": event.received_at.isoformat(), "data": data})
