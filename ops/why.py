"""`tocsin why`: the whole life of one alert, gathered and judged."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiokafka import TopicPartition

from events.errors import NotReady
from events.headers import as_text
from events.settings import KafkaSettings
from events.topics import Topics
from inbox.settings import InboxSettings
from ingest.settings import IngestSettings
from ops import archive_index, kafka_errors, life, life_find, life_reader, why_targets
from ops.archive_errors import UNREADABLE, sentence
from ops.letters import Box, Letter
from ops.life import Event
from ops.life_material import Bound, Material
from ops.life_targets import Told
from sinks import main as sinks_main
from sinks.archive.settings import ArchiveSettings
from sinks.archive.storage import Folder, Root, Store
from sinks.rules import Rules
from sinks.settings import SinksSettings
from sinks.summary import summarise

PATIENCE = timedelta(seconds=2)
"""How long a bucket that does not answer is tried: what Kafka tells is told then without it."""


@dataclass
class Resent:
    """A record that an operator sent to one target again."""

    place: str
    target: str
    cause: str
    job: str
    at: datetime


@dataclass
class Life:
    """Everything `why` has to say."""

    key: str
    found: str
    title: str = ""
    link: str | None = None
    rules_version: str = ""
    archived_to: int | None = None
    """First offset that is not archived yet; None where the archive was not looked through."""
    events: list[Event] = field(default_factory=list)
    told: dict[str, list[Told]] = field(default_factory=dict)
    """By event id."""
    letters: list[tuple[Letter, str]] = field(default_factory=list)
    """Each with what became of it: open, redriven or dropped."""
    resent: list[Resent] = field(default_factory=list)
    spooled: list[tuple[str, datetime]] = field(default_factory=list)
    """Event id and arrival of what still waits on this host's disk."""
    bounds: list[Bound] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Sources:
    """What can be asked besides Kafka, and what of that is not at hand."""

    root: Root | None = None
    """The archive."""
    spool: Path | None = None
    rules: Rules | None = None
    partitions: int = 0
    """How many the topics had before they grew, for what was before that; 0: as many as now."""
    rooms: tuple[str, ...] = ()
    """Private addresses of rooms, sinks among them."""
    notes: list[str] = field(default_factory=list)


def run(text: str, since: datetime | None, partitions: int = 0) -> Life:
    """Look into the life of an alert named by uuid, short id or the id of one of its events.

    Raises NotReady when nothing is known of it.
    """
    notes: list[str] = []
    kafka = KafkaSettings()
    rooms = tuple(InboxSettings().room_addresses().values())
    spool = IngestSettings().spool_folder()
    sources = Sources(archive_at_hand(notes, PATIENCE), spool, rules_at_hand(notes), partitions, rooms, notes)
    with kafka_errors.told(kafka):
        return asyncio.run(look(kafka, text, since, sources))


def archive_at_hand(notes: list[str], patience: timedelta | None = None) -> Store | None:
    """Return the archive, None with a note where there is none at hand; a bucket is tried for so long at most."""
    settings = ArchiveSettings()
    if patience and settings.s3_patience > patience:
        settings = settings.model_copy(update={"s3_patience": patience})
    try:
        store = settings.store()
    except NotReady as error:
        notes.append(f"the archive is not looked into: {error}")
        return None
    if isinstance(store, Folder) and not store.root.is_dir():
        notes.append("there is no archive on this machine to look into")
        return None
    return store


def rules_at_hand(notes: list[str]) -> Rules | None:
    """Return the rules, None with a note where there are none at hand."""
    try:
        return sinks_main.load(SinksSettings())
    except NotReady as error:
        notes.append(f"rules are not asked: {error}")
        return None


async def look(kafka: KafkaSettings, text: str, since: datetime | None, sources: Sources) -> Life:
    """Gather and judge; where the archive cannot be read, without it. Raises NotReady, KafkaError."""
    try:
        return await _look(kafka, text, since, sources)
    except UNREADABLE as error:
        if sources.root is None:
            raise
        note = f"the archive is not looked into: {sentence(sources.root, error)}"
        return await _look(kafka, text, since, replace(sources, root=None, notes=[*sources.notes, note]))


async def _look(kafka: KafkaSettings, text: str, since: datetime | None, sources: Sources) -> Life:
    root, rules = sources.root, sources.rules
    key, found = await life_find.find(kafka, text, since, root)
    material = await life_reader.read(kafka, key, since, root, sources.spool, sources.partitions)
    records: list[life.Record] = list(material.enriched)
    if root:
        records += archive_index.records(root, material.archived, {record.offset for record in records})
    life_ = Life(key, found, rules_version=rules.version if rules else "", notes=[*sources.notes, *material.notes])
    life_.bounds = material.bounds
    _letters(life_, material)
    topics = Topics(kafka.topic_prefix)
    stream_at = await why_targets.place_of(kafka, "stream", TopicPartition(topics.raw, material.partition))
    files = {row.offset: row.path for row in material.archived.rows}
    revisions = [one for record in records if (one := life.revision(record, files.get(record.offset)))]
    buried = [letter.source for letter, _ in life_.letters if letter.stage == "stream"]
    arrivals = [life.arrival(record) for record in material.raw]
    life_.events = life.events(arrivals, revisions, buried, stream_at.base if stream_at else None)
    life_.resent = [_resent(record) for record in material.redeliveries]
    life_.spooled = [(each.event_id, each.received_at) for each in material.spooled]
    life_.archived_to = material.archived.next_offsets.get(material.partition)
    _archive_notes(life_, material.archived)
    _head(life_)
    life_.told = await why_targets.told(kafka, life_.events, material, rules)
    await why_targets.retries(life_.told, sources.rooms)
    if not (life_.events or life_.letters or life_.spooled):
        raise NotReady(
            f"Nothing about {text} is in what was read ({_read(material.bounds)}): look further back with --since."
        )
    return life_


def _archive_notes(found: Life, archived: archive_index.Found) -> None:
    """Say what of the archive was not read: nothing is missing there then, as far as one can say."""
    if archived.back_to or archived.unread:
        found.archived_to = None
    if archived.back_to:
        found.notes.append(f"the archive was searched back to {archived.back_to:%Y-%m-%d %H:%M} only")
    found.notes += [f"the archive's file {path} is listed and gone" for path in archived.gone]
    found.notes += [f"the archive's file {path} cannot be read" for path in archived.unread]


def _letters(found: Life, material: Material) -> None:
    box = Box()
    for record in material.letters:
        box.take(record)
    found.letters = [
        (letter, box.fates.get(letter.place, "open")) for letter in box.letters.values() if letter.key == material.key
    ]


def _head(found: Life) -> None:
    """Take title and link from the newest record that has them."""
    newest = sorted((one for event in found.events for one in event.revisions), key=lambda one: one.offset)
    for one in newest:
        said = summarise(one.event)
        found.title, found.link = said.title or found.title, said.link or found.link


def _resent(record: life.Record) -> Resent:
    headers = as_text(record.headers)
    told = (headers.get("target", ""), headers.get("cause", ""), headers.get("job-id", ""))
    at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return Resent(f"{record.topic}/{record.partition}/{record.offset}", *told, at)


def _read(bounds: Iterable[Bound]) -> str:
    return ", ".join(f"{bound.topic} {bound.read:,} of {bound.of:,}" for bound in bounds)
