"""`tocsin reconcile`: from the Alert API to every target, what came, what is on its way, and what is unaccounted for."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from events.settings import KafkaSettings
from events.topics import Topics
from ops import archive_files
from ops.catch_up_pass import Pages
from ops.gaps import Count, Gap, Limits
from ops.ledger import Ledger
from ops.life_targets import Place
from ops.reconcile_api import Api
from ops.scan import Progress, Reader, Span, reading
from sinks.archive.storage import Root
from sinks.finished import decode
from sinks.positions import committed
from sinks.rules import Rules
from stream.restore import SLACK

Places = dict[tuple[str, int], Place]
"""By group and partition, how far it has come."""


@dataclass
class Asked:
    """What is compared with what."""

    since: datetime
    until: datetime
    window: timedelta
    """How far back the stream knows duplicates."""
    rules: Rules | None = None
    root: Root | None = None
    """The archive's folder."""
    pages: Pages | None = None
    """The Alert API."""
    delay: timedelta = timedelta(minutes=15)
    """How long a webhook may be on its way."""


@dataclass
class Report:
    """The stages in order, and what is unaccounted for."""

    since: datetime
    until: datetime
    alerts: Count | None = None
    """New alerts and changes at the Alert API; None where it was not asked."""
    origins: Counter[str] = field(default_factory=Counter)
    """Records of the raw topic by how they came."""
    stream: Count = field(default_factory=Count)
    archive: Count | None = None
    targets: dict[str, Count] = field(default_factory=dict)
    pending: int = 0
    gaps: list[Gap] = field(default_factory=list)
    not_judged: Counter[str] = field(default_factory=Counter)
    """By target, records before the first one it told by the rules at hand, or where what it told before decides."""
    notes: list[str] = field(default_factory=list)


async def reconcile(kafka: KafkaSettings, asked: Asked, progress: Progress) -> Report:
    """Compare all stages.

    Raises NotReady, BrokenManifest, KafkaError, and Unavailable and Refused where the Alert API is asked.
    """
    report, api, topics = Report(asked.since, asked.until), Api(), Topics(kafka.topic_prefix)
    if asked.pages:  # first, so that the topics know more than the list, never less
        await api.ask(asked.pages, asked.since)
    firsts: dict[str, dict[str, int]] = {}
    async with reading(kafka) as reader:
        count = len(await reader.partitions(topics.raw))
        found = _Found(report, api, await _places(kafka, asked.rules.targets if asked.rules else (), count))
        for number in range(count):
            ledger = await _Partition(reader, topics, number, asked, found).read()
            _add(report, ledger)
            for target, versions in ledger.first_told.items():
                known = firsts.setdefault(target, {})
                known |= {version: min(at, known.get(version, at)) for version, at in versions.items()}
            progress(number + 1, count)
    _leave_out(report, firsts, asked.rules)
    if asked.pages:
        report.alerts, missing = api.compare(asked.since, asked.until - asked.delay)
        report.gaps += missing
    return report


def _add(report: Report, ledger: Ledger) -> None:
    report.origins += ledger.origins
    report.pending += ledger.pending
    report.stream.add(ledger.stream)
    if report.archive:
        report.archive.add(ledger.archive)
    for target, count in ledger.targets.items():
        report.targets.setdefault(target, Count()).add(count)
    report.gaps += ledger.gaps
    report.not_judged += ledger.not_judged


def _leave_out(report: Report, firsts: dict[str, dict[str, int]], rules: Rules | None) -> None:
    """Leave out what lies before the first record a target told by the rules at hand: it began later, or had others."""
    for target, versions in firsts.items():
        if rules is None or target not in rules.targets:
            continue
        begin = versions.get(rules.version)
        kept = [gap for gap in report.gaps if not _is_early(gap, target, begin)]
        early = len(report.gaps) - len(kept)
        report.not_judged[target] += early
        report.targets.setdefault(target, Count()).expected -= early
        report.gaps = kept
        if begin is None:
            report.notes.append(
                f"{target} decides by other rules than the file at hand: what it did not tell is not judged"
            )


def _is_early(gap: Gap, target: str, begin: int | None) -> bool:
    if gap.kind != "lost receipt" or gap.target != target:
        return False
    return begin is None or bool(gap.at and gap.at.timestamp() * 1000 < begin)


class _Found(NamedTuple):
    report: Report
    api: Api
    places: Places


class _Partition:
    """One partition of all topics."""

    def __init__(self, reader: Reader, topics: Topics, number: int, asked: Asked, found: "_Found") -> None:
        self._reader, self._topics, self._number, self._asked = reader, topics, number, asked
        self._report, self._api, self._places = found

    async def read(self) -> Ledger:
        """Read it."""
        since, topics = self._asked.since, self._topics
        raw = await self._span(topics.raw, since - SLACK)
        asked, number = self._asked, self._number
        targets = {name: self._places.get((name, number)) for name in (asked.rules.targets if asked.rules else ())}
        limits = Limits(since, asked.until, self._places.get(("stream", number)), targets, None)
        ledger = Ledger(limits, self._asked.rules)
        enriched = await self._span(topics.enriched, since - SLACK)
        self._look_into_files(limits, enriched)
        for topic, take in ((topics.dead_letters, ledger.letter), (topics.deliveries, ledger.receipt)):
            place, span = await self._span(topic, since - SLACK)
            async for record in self._reader.records({place: span}):
                take(record)
        async for record in self._reader.records(dict([enriched])):
            ledger.enriched(record)
            self._api.note(record, enriched=True)
        unknown = []
        async for record in self._reader.records(dict([raw])):
            self._api.note(record, enriched=False)
            if not ledger.raw(record):
                unknown.append(record)
        if unknown:
            await self._look_back(ledger, enriched[1].start)
            for record in unknown:
                ledger.lost(record)
        ledger.close()
        return ledger

    async def _look_back(self, ledger: Ledger, end: int) -> None:
        """Learn of events that were enriched before, and came again: the stream knew them."""
        place, span = await self._span(self._topics.enriched, self._asked.since - self._asked.window - SLACK)
        async for record in self._reader.records({place: Span(span.start, end)}):
            ledger.enriched(record, judged=False)

    def _look_into_files(self, limits: Limits, enriched: tuple[TopicPartition, Span]) -> None:
        if self._asked.root is None:
            return
        place, span = enriched
        found = archive_files.offsets(self._asked.root, place.topic, place.partition, span)
        limits.archived, limits.archived_to = found.offsets, found.next_offset
        limits.in_lost_files = list(found.lost.values())
        self._report.archive = self._report.archive or Count()
        self._report.gaps += [Gap("lost archive file", path, target="archive") for path in found.lost]
        self._report.gaps += [
            Gap("lost row", f"{place.topic}/{place.partition}/{entry.first_offset}-{entry.next_offset - 1}",
                target="archive", at=entry.created_at)
            for entry in found.gaps
        ]  # fmt: skip

    async def _span(self, topic: str, since: datetime) -> tuple[TopicPartition, Span]:
        place = TopicPartition(topic, self._number)
        spans = await self._reader.spans([place])
        return place, Span((await self._reader.places(spans, since))[place], spans[place].end)


async def _places(kafka: KafkaSettings, targets: Iterable[str], count: int) -> Places:
    """Return how far the stream and each target have come, before anything is read of what they wrote."""
    topics = Topics(kafka.topic_prefix)
    found: Places = {}
    for group, topic in {"stream": topics.raw, **dict.fromkeys(targets, topics.enriched)}.items():
        known = await committed(kafka, group, [TopicPartition(topic, number) for number in range(count)])
        for place, (offset, metadata) in known.items():
            runs = tuple(decode(offset, metadata.partition(" ")[2]))
            found[group, place.partition] = Place(offset, runs)
    return found


def unaccounted(report: Report) -> dict[str, Any]:
    """Return how many gaps there are of each kind."""
    return dict(Counter(gap.kind for gap in report.gaps))
