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
ARCHIVE_SECONDS = 2.0
"""How long the archive is looked through; a --since asks for more and gets it."""
ARCHIVE_SECONDS_SINCE = 120.0

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_KEYED = re.compile(rf"(?:created:[^/]*/|state:)?({_UUID})(?::\d+)?", re.IGNORECASE)
"""A uuid, or an event id of a catch-up: these tell the key by themselves."""
_SHORT = re.compile("[A-Z]{2}[0-9A-Za-z]{2,18}")
"""What is no longer than that is a short id, for sure no event's id: one column less to read."""


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
    found = archive_index.Found()
    if root and numbers:
        columns = ("short_id",) if _SHORT.fullmatch(text) else ("short_id", "event_id")
        seconds = ARCHIVE_SECONDS_SINCE if since else ARCHIVE_SECONDS
        found = archive_index.search(root, topics.enriched, numbers, columns, text, seconds, first=True)
        if key := next((row.alert_uuid for row in found.rows if row.alert_uuid), None):
            return key, "by the archive"
    async with reading(kafka) as reader:
        for topic, starts in ((topics.enriched, found.next_offsets), (topics.raw, {})):
            if key := await _look(reader, topic, text, since, starts):
                return key, f"by what is new in {topic}"
    raise NotReady(nowhere(text, since, found if numbers else None))


def nowhere(text: str, since: datetime | None, archived: archive_index.Found | None) -> str:
    """Say what was looked through in vain, and what else there is to do."""
    places = [f"the newest {RECENT:,} records of each partition" if since is None else f"everything since {since}"]
    if archived:
        back = (
            f", which was looked through back to {archived.back_to:%Y-%m-%d %H:%M} UTC only" if archived.back_to else ""
        )
        places.insert(0, f"the archive{back}")
    return (
        f"Nothing named {text} is in {', nor in '.join(places)}: give the alert's uuid, for which one partition "
        "is read, or look further back with --since."
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
