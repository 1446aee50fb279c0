"""`tocsin reconcile`: from the Alert API to every target, what came, what is on its way, and what is unaccounted for."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aiokafka import TopicPartition

from events.settings import KafkaSettings
from events.topics import Topics
from ops import archive_files, catch_up_known
from ops.catch_up import Known, Listed, missing
from ops.catch_up_pass import Pages, listed_from
from ops.gaps import Count, Gap, Kind, Limits
from ops.ledger import Ledger
from ops.life import Record
from ops.life_targets import Place
from ops.scan import Progress, Reader, Span, reading
from sinks.archive.storage import Root
from sinks.finished import decode
from sinks.positions import committed
from sinks.rules import Rules
from stream.restore import SLACK


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


@dataclass
class Api:
    """What the Alert API lists, and what our topics tell of it."""

    listed: dict[str, Listed] = field(default_factory=dict)
    """By uuid in lower case."""
    known: Known = field(default_factory=Known)

    def note(self, record: Record, *, enriched: bool) -> None:
        """Take a record of the raw or the enriched topic."""
        if self.listed:
            catch_up_known.note(self.known, self.listed.keys(), record, enriched=enriched)


async def reconcile(kafka: KafkaSettings, asked: Asked, progress: Progress) -> Report:
    """Compare all stages.

    Raises NotReady, BrokenManifest, KafkaError, and Unavailable and Refused where the Alert API is asked.
    """
    report, api = Report(asked.since, asked.until), Api()
    if asked.pages:  # first, so that the topics know more than the list, never less
        api.listed = await _listed(asked.pages, asked.since.timestamp())
    firsts: dict[str, dict[str, int]] = {}
    async with reading(kafka) as reader:
        count = len(await reader.partitions(Topics(kafka.topic_prefix).raw))
        for number in range(count):
            ledger = await _Partition(kafka, reader, number, asked, report, api).read()
            _add(report, ledger)
            for target, versions in ledger.first_told.items():
                for version, at in versions.items():
                    known = firsts.setdefault(target, {})
                    known[version] = min(at, known.get(version, at))
            progress(number + 1, count)
    _leave_out(report, firsts, asked.rules)
    if asked.pages:
        _compare(asked, api, report)
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


class _Partition:
    """One partition of all topics."""

    def __init__(
        self, kafka: KafkaSettings, reader: Reader, number: int, asked: Asked, report: Report, api: Api
    ) -> None:
        self._kafka, self._reader, self._number, self._asked = kafka, reader, number, asked
        self._report, self._api = report, api
        self._topics = Topics(kafka.topic_prefix)

    async def read(self) -> Ledger:
        """Read it; how far the stages have come is asked before what they wrote is read."""
        since, topics = self._asked.since, self._topics
        raw = await self._span(topics.raw, since - SLACK)
        limits = await self._limits()
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

    async def _limits(self) -> Limits:
        names = list(self._asked.rules.targets) if self._asked.rules else []
        enriched = TopicPartition(self._topics.enriched, self._number)
        stream = await self._place("stream", TopicPartition(self._topics.raw, self._number))
        targets = {name: await self._place(name, enriched) for name in names}
        return Limits(self._asked.since, self._asked.until, stream, targets, None)

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

    async def _place(self, group: str, partition: TopicPartition) -> Place | None:
        known = await committed(self._kafka, group, [partition])
        if partition not in known:
            return None
        offset, metadata = known[partition]
        return Place(offset, tuple(decode(offset, metadata.partition(" ")[2])))


async def _listed(pages: Pages, since: float) -> dict[str, Listed]:
    found: dict[str, Listed] = {}
    ended = False
    while not ended:
        listed, since, ended = await listed_from(pages, since)
        found |= {each.uuid.lower(): each for each in listed}
    return found


def _compare(asked: Asked, api: Api, report: Report) -> None:
    """Compare what the Alert API lists with the raw and the enriched topic, as a catch-up does."""
    report.alerts = count = Count()
    floor, until = asked.since.timestamp(), (asked.until - asked.delay).timestamp()
    feeds = {feed.key.decode(): feed for feed in missing(api.listed.values(), api.known, floor, until)}
    for alert in api.listed.values():
        if not floor <= alert.updated_at <= until:
            count.waiting += alert.updated_at > until
            continue
        count.expected += 1
        feed = feeds.get(alert.uuid)
        if feed is None:
            count.there += 1
            continue
        kind: Kind = "lost webhook" if feed.event_id.startswith("created:") else "lost change"
        at = alert.created_at if kind == "lost webhook" else alert.updated_at
        named = Gap(kind, alert.short_id, feed.event_id, alert.uuid, at=datetime.fromtimestamp(at).astimezone())
        report.gaps.append(named)


def unaccounted(report: Report) -> dict[str, Any]:
    """Return how many gaps there are of each kind."""
    return dict(Counter(gap.kind for gap in report.gaps))
