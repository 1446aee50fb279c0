"""Which entity key an operator means by what stands on a card: a uuid, a short id such as ALab12cd, or an event id."""

import re
from datetime import datetime

from aiokafka import ConsumerRecord

from events.errors import NotReady
from events.headers import as_text
from events.settings import KafkaSettings
from events.topics import Topics
from ops import archive_index
from ops.scan import Reader, Span, reading
from sinks.archive.storage import Root

RECENT = 3_000
"""Newest offsets of each partition that are looked through for an id that is no key."""
ARCHIVE_SECONDS = 2.5

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_KEYED = re.compile(rf"(?:created:[^/]*/|state:)?({_UUID})(?::\d+)?", re.IGNORECASE)
"""A uuid, or an event id of a catch-up: these tell the key by themselves."""


def key_in(text: str) -> str | None:
    """Return the key that stands in the text itself, None where it has to be looked for."""
    match = _KEYED.fullmatch(text.strip())
    return match[1].lower() if match else None


async def find(kafka: KafkaSettings, text: str, since: datetime | None, root: Root | None) -> tuple[str, str]:
    """Return the key, and how it was found.

    Raises NotReady when nothing of that name is there, BrokenManifest.
    """
    if key := key_in(text):
        return key, "as given"
    topics = Topics(kafka.topic_prefix)
    numbers = archive_index.partitions(root, topics.enriched) if root else []
    ends: dict[int, int] = {}
    if root and numbers:
        columns = ("short_id", "event_id")
        found = archive_index.search(root, topics.enriched, numbers, columns, text, ARCHIVE_SECONDS, first=True)
        if key := next((row.alert_uuid for row in found.rows if row.alert_uuid), None):
            return key, "by the archive"
        ends = found.next_offsets
    async with reading(kafka) as reader:
        for topic, starts in ((topics.enriched, ends), (topics.raw, {})):
            if key := await _look(reader, topic, text, since, starts):
                return key, f"by what is new in {topic}"
    searched = f"the newest {RECENT:,} records of each partition" if since is None else f"everything since {since}"
    raise NotReady(
        f"Nothing named {text} is in {'the archive, nor in ' if numbers else ''}{searched}: give the alert's uuid, or look "
        "further back with --since."
    )


async def _look(reader: Reader, topic: str, text: str, since: datetime | None, archived: dict[int, int]) -> str | None:
    spans = await reader.spans(await reader.partitions(topic))
    begins = await reader.places(spans, since) if since else {}
    chosen = {
        place: Span(max(begins.get(place, span.end - RECENT), archived.get(place.partition, 0), span.start), span.end)
        for place, span in spans.items()
    }
    inside, found = f'"{text}"'.encode(), None
    async for record in reader.records(chosen):
        if found is None and _is(record, text, inside):
            found = _key(record)
    return found


def _is(record: ConsumerRecord, text: str, inside: bytes) -> bool:
    """Say whether a record is the event, or speaks of the id; a look at the bytes spares reading them."""
    if as_text(record.headers).get("event-id") == text:
        return True
    value = record.value or b""
    return inside in value and any(mark + inside in value for mark in (b'short_id":', b'short_id": '))


def _key(record: ConsumerRecord) -> str | None:
    return record.key.decode("utf-8", "replace") if record.key else None
