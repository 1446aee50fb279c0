"""Read what the raw and the enriched topic tell of some alerts, from a time on."""

from collections.abc import Set as AbstractSet
from contextlib import aclosing
from datetime import datetime

from events.codec import decode_enriched, decode_webhook
from events.errors import MalformedRecord
from events.settings import KafkaSettings
from events.topics import Topics
from ops.catch_up import Known
from ops.scan import scan


async def read(kafka: KafkaSettings, alerts: AbstractSet[str], since: datetime) -> Known:
    """Return what the topics tell of these alerts (their uuids in lower case).

    The raw topic tells what the stream has still to handle. Raises NotReady, KafkaError.
    """
    topics, known = Topics(kafka.topic_prefix), Known()
    for topic in (topics.raw, topics.enriched):
        async with aclosing(scan(kafka, topic, since=since)) as records:
            async for record in records:
                if (record.key or b"").decode("utf-8", "replace").lower() in alerts:
                    _note(known, record.value, enriched=topic == topics.enriched)
    return known


def _note(known: Known, value: bytes | None, *, enriched: bool) -> None:
    try:
        if enriched:
            known.enriched(decode_enriched(value))
        else:
            known.raw(decode_webhook(value)[0])
    except MalformedRecord:
        return  # tells of no alert; the stream buries it
