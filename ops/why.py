"""`tocsin why`: the whole life of one alert, gathered and judged."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import TopicPartition

from events.errors import NotReady
from events.headers import as_text
from events.settings import KafkaSettings
from events.topics import Topics
from inbox.settings import InboxSettings
from ingest.settings import IngestSettings
from ops import archive_index, life, life_find, life_reader
from ops.letters import Box, Letter
from ops.life import Event, Revision
from ops.life_reader import Bound, Material
from ops.life_targets import Place, Slip, Told, from_receipts, retried, without_receipt
from ops.retries import retrying
from sinks import main as sinks_main
from sinks.archive.manifest import BrokenManifest
from sinks.archive.settings import ArchiveSettings
from sinks.archive.storage import Folder, Root, Store
from sinks.finished import decode
from sinks.positions import committed
from sinks.rules import Rules
from sinks.settings import SinksSettings
from sinks.summary import summarise


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

    Raises NotReady when nothing is known of it, or the archive is broken.
    """
    notes: list[str] = []
    rooms = tuple(InboxSettings().room_addresses().values())
    spool = IngestSettings().spool_folder()
    sources = Sources(archive_at_hand(notes), spool, rules_at_hand(notes), partitions, rooms, notes)
    try:
        return asyncio.run(look(KafkaSettings(), text, since, sources))
    except BrokenManifest as error:
        raise NotReady(
            f"The archive in {sources.root.name if sources.root else None} cannot be believed: {error}"
        ) from error


def archive_at_hand(notes: list[str]) -> Store | None:
    """Return the archive, None with a note where there is none at hand."""
    try:
        store = ArchiveSettings().store()
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
    """Gather and judge. Raises NotReady, BrokenManifest."""
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
    stream_at = await _place(kafka, "stream", TopicPartition(topics.raw, material.partition))
    files = {row.offset: row.path for row in material.archived.rows}
    revisions = [one for record in records if (one := life.revision(record, files.get(record.offset)))]
    buried = [letter.source for letter, _ in life_.letters if letter.stage == "stream"]
    arrivals = [life.arrival(record) for record in material.raw]
    life_.events = life.events(arrivals, revisions, buried, stream_at.base if stream_at else None)
    life_.resent = [_resent(record) for record in material.redeliveries]
    life_.spooled = [(each.event_id, each.received_at) for each in material.spooled]
    life_.archived_to = material.archived.next_offsets.get(material.partition)
    if material.archived.back_to:
        life_.archived_to = None
        life_.notes.append(f"the archive was searched back to {material.archived.back_to:%Y-%m-%d %H:%M} only")
    life_.notes += [f"the archive's file {path} is listed and gone" for path in material.archived.gone]
    _head(life_)
    await _targets(life_, kafka, material, rules)
    await _retries(life_, sources.rooms)
    if not (life_.events or life_.letters or life_.spooled):
        raise NotReady(
            f"Nothing about {text} is in what was read ({_read(material.bounds)}): look further back with --since."
        )
    return life_


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


async def _targets(found: Life, kafka: KafkaSettings, material: Material, rules: Rules | None) -> None:
    slips: dict[tuple[str, int], list[Slip]] = defaultdict(list)
    for record in material.receipts:
        if one := life.receipt(record.value):
            slips[one.event_id, one.revision].append(Slip(one, datetime.fromtimestamp(record.timestamp / 1000, UTC)))
    names = list(rules.targets) if rules else []
    names += sorted({slip.receipt.target for each in slips.values() for slip in each} - set(names))
    enriched = TopicPartition(Topics(kafka.topic_prefix).enriched, material.partition)
    found_at = await asyncio.gather(*(_place(kafka, name, enriched) for name in names))
    places = dict(zip(names, found_at, strict=True))
    for event in found.events:
        found.told[event.event_id] = [
            told
            for one in event.revisions
            for name in names
            for told in _told(name, one, slips[event.event_id, one.revision], rules, places[name])
        ]


async def _retries(found: Life, rooms: Collection[str]) -> None:
    waiting = [(event_id, told) for event_id, each in found.told.items() for told in each if told.state == "waiting"]
    if not waiting:
        return
    from ops import private_ports  # an HTTP client is loaded only where somebody is asked

    trying = retrying(await private_ports.health(rooms))
    for event_id, told in waiting:
        if told.target in trying:
            retried(told, event_id, trying[told.target])


def _told(name: str, one: Revision, slips: Iterable[Slip], rules: Rules | None, place: Place | None) -> list[Told]:
    jobs: dict[str | None, list[Slip]] = defaultdict(list)
    for slip in slips:
        if slip.receipt.target == name:
            jobs[slip.receipt.replay_id].append(slip)
    told = [from_receipts(name, one.revision, job, each) for job, each in jobs.items()]
    if None not in jobs:
        waits = max(0, one.offset - place.base) if place else None
        told.insert(0, without_receipt(name, one.event, one.offset, rules, place, waits=waits))
    return told


async def _place(kafka: KafkaSettings, group: str, partition: TopicPartition) -> Place | None:
    known = await committed(kafka, group, [partition])
    if partition not in known:
        return None
    offset, metadata = known[partition]
    return Place(offset, tuple(decode(offset, metadata.partition(" ")[2])))


def _read(bounds: Iterable[Bound]) -> str:
    return ", ".join(f"{bound.topic} {bound.read:,} of {bound.of:,}" for bound in bounds)
