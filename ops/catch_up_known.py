"""What the raw and the enriched topic tell of some alerts."""

from collections.abc import Set as AbstractSet
from contextlib import aclosing
from datetime import datetime

from events.codec import decode_enriched, decode_webhook
from events.errors import MalformedRecord
from events.settings import KafkaSettings
from events.topics import Topics
from ops.catch_up import Known
from ops.life import Record
from ops.scan import scan


async def read(kafka: KafkaSettings, alerts: AbstractSet[str], since: datetime) -> Known:
    """Return what the topics tell of these alerts (their uuids in lower case).

    The raw topic tells what the stream has still to handle. Raises NotReady, KafkaError.
    """
    topics, known = Topics(kafka.topic_prefix), Known()
    for topic in (topics.raw, topics.enriched):
        async with aclosing(scan(kafka, topic, since=since)) as records:
            async for record in records:
                note(known, alerts, record, enriched=topic == topics.enriched)
    return known


def note(known: Known, alerts: AbstractSet[str], record: Record, *, enriched: bool) -> None:
    """Take a record of the raw or the enriched topic, where it is about one of the alerts."""
    if (record.key or b"").decode("utf-8", "replace").lower() not in alerts:
        return
    try:
        if enriched:
            known.enriched(decode_enriched(record.value))
        else:
            known.raw(decode_webhook(record.value)[0])
    except MalformedRecord:
        return  # tells of no alert; the stream buries it
