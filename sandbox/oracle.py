"""The oracle: compare what was sent with what was found, and name every event that is missing, invented or doubled."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from events.codec import decode_webhook
from events.errors import MalformedRecord
from events.identity import identify
from sandbox.evidence import Enriched, Evidence, Kill
from sandbox.journal import Sent


@dataclass
class Verdict:
    """The counts of one run; each list names the events concerned, with where they were looked for."""

    accepted: int = 0
    unique: int = 0
    enriched: int = 0
    delivered: int = 0
    archived: int = 0
    dead_letters: int = 0
    pending: int = 0
    missing: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    repeated: int = 0
    in_flight_at_kill: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing was lost, invented, doubled or reordered, and nothing repeated that was not in flight."""
        spoiled = self.missing or self.invented or self.doubled or self.reordered
        return not spoiled and self.repeated <= self.in_flight_at_kill

    def compare(self, place: str, found: Counter[str], must: set[str], may: set[str]) -> None:
        """Note what a place lacks of `must`, and what it holds beyond `may`."""
        self.missing += [f"{place}: {each}" for each in sorted(must - found.keys())]
        self.invented += [f"{place}: {each}" for each in sorted(found.keys() - may)]

    def once(self, place: str, found: Counter[str]) -> None:
        """Note what a place holds more than once."""
        self.doubled += [f"{place}: {each}" for each, count in sorted(found.items()) if count > 1]


def judge(sent: dict[bytes, Sent], evidence: Evidence, *, targets: bool = True) -> Verdict:
    """Compare; the journal says what must be there, and nothing else may be.

    Without `targets` only the topics raw, enriched and dead letters are looked at: there was no sink.
    """
    verdict = Verdict(accepted=sum(entry.acknowledged for entry in sent.values()))
    must, may = _raw(verdict, sent, evidence)
    verdict.unique = len(must)
    first = [each for each in evidence.enriched if each.event.revision == 0]
    _enriched(verdict, first, evidence, must, may)
    _letters(verdict, sent, evidence)
    if targets:
        _targets(verdict, evidence, {each.event.event_id for each in first}, must, may)
    verdict.reordered = list(_reordered(evidence, first))
    return verdict


def _raw(verdict: Verdict, sent: dict[bytes, Sent], evidence: Evidence) -> tuple[set[str], set[str]]:
    """Check the raw topic byte for byte; return the event ids that must and that may come out of it."""
    found = Counter(record.value for record in evidence.raw if record.value is not None)
    for body, entry in sent.items():
        if found[body] < min(entry.acknowledged, 1) or (entry.straight and found[body] < entry.acknowledged):
            verdict.missing.append(f"raw: {body[:80]!r}")
    verdict.invented += [f"raw: {value[:80]!r}" for value in found if value not in sent]
    must: set[str] = set()
    may: set[str] = set()
    deliveries: defaultdict[bytes, set[str]] = defaultdict(set)
    for record in evidence.raw:
        if record.kind == "delivery" and record.value is not None:
            deliveries[record.value].add(record.event_id)
    for body, entry in sent.items():
        if entry.straight:
            continue
        name = _identify(body)
        if name is not None:
            may.add(name)
            must |= {name} if entry.acknowledged else set()
            continue
        # Without an event time every delivery is an event; a try without an answer may have been one.
        ids = deliveries[body]
        may |= ids
        must |= ids
        if len(ids) < entry.acknowledged:
            verdict.missing.append(f"raw: {entry.acknowledged - len(ids)} deliveries of {body[:80]!r}")
        if len(ids) > entry.tries:
            verdict.invented.append(f"raw: {len(ids) - entry.tries} deliveries of {body[:80]!r}")
    return must, may


def _identify(body: bytes) -> str | None:
    name = identify(decode_webhook(body)[1], body, "")
    return None if name.kind == "delivery" else name.event_id


def _enriched(verdict: Verdict, first: list[Enriched], evidence: Evidence, must: set[str], may: set[str]) -> None:
    ids = Counter(each.event.event_id for each in first)
    verdict.enriched = len(ids)
    verdict.compare("enriched", ids, must, may)
    verdict.once("enriched", ids)
    completed = Counter(each.event.event_id for each in evidence.enriched if each.event.revision == 1)
    verdict.once("enriched revision 1", completed)
    pending = {each.event.event_id for each in first if each.event.enrichment.status == "pending"}
    verdict.invented += [f"enriched revision 1: {each}" for each in sorted(completed.keys() - pending)]
    verdict.pending = len(pending - completed.keys())
    bodies = {record.event_id: record.value for record in evidence.raw}
    for each in first:
        body = bodies.get(each.event.event_id)
        if body is not None and decode_webhook(body)[0] != each.event.event:
            verdict.invented.append(f"enriched: {each.event.event_id} is not what was posted")
    for each in evidence.enriched:
        shown = (each.event.alert or {}).get("uuid")
        if shown is not None and shown != each.event.event.alert_uuid:
            verdict.invented.append(f"enriched: {each.event.event_id} carries another alert, {shown}")


def _letters(verdict: Verdict, sent: dict[bytes, Sent], evidence: Evidence) -> None:
    """Every undecodable record has one letter with its bytes, and nothing else has any."""
    broken = Counter(f"{r.partition}/{r.offset}" for r in evidence.raw if _undecodable(r.value))
    found = Counter(f"{each.source[1]}/{each.source[2]}" for each in evidence.letters if each.stage == "stream")
    verdict.dead_letters = len(found)
    verdict.compare("dead letters", found, set(broken), set(broken))
    verdict.once("dead letters", found)
    straight = {body for body, entry in sent.items() if entry.straight}
    for each in evidence.letters:
        if each.stage != "stream":
            verdict.invented.append(f"dead letters: stage {each.stage}, from {each.source}")
        elif each.value is not None and each.value not in straight:
            verdict.invented.append(f"dead letters: {each.value[:80]!r}")


def _undecodable(value: bytes | None) -> bool:
    try:
        decode_webhook(value)
    except MalformedRecord:
        return True
    return False


def _targets(verdict: Verdict, evidence: Evidence, enriched: set[str], must: set[str], may: set[str]) -> None:
    posts = Counter(post.event_id for post in evidence.posts)
    verdict.delivered = len(posts)
    verdict.compare("receiver", posts, must, may)
    verdict.repeated = sum(count - 1 for count in posts.values())
    verdict.in_flight_at_kill = len(set().union(*(_in_flight(kill, evidence) for kill in evidence.kills)))
    receipts = Counter(receipt.event_id for receipt in evidence.receipts)
    verdict.compare("receipts", receipts, must, may)
    rows = Counter(f"{event_id} revision {revision}" for event_id, revision in evidence.rows)
    records = {f"{each.event.event_id} revision {each.event.revision}" for each in evidence.enriched}
    verdict.archived = len(rows)
    verdict.compare("archive", rows, records, records)
    verdict.once("archive", rows)
    verdict.missing += [f"archive: {each}" for each in sorted(must - enriched - {r[0] for r in evidence.rows})]


def _in_flight(kill: Kill, evidence: Evidence) -> set[str]:
    """Return what the receiver had, but no receipt told of, when the sink or the broker under it was killed."""
    if kill.room not in {"sink", "broker"}:
        return set()
    told = {receipt.event_id for receipt in evidence.receipts if receipt.at < kill.at}
    return {post.event_id for post in evidence.posts if post.at <= kill.back} - told


def _reordered(evidence: Evidence, first: list[Enriched]) -> Iterable[str]:
    """Yield events that stand behind a later one of their key, by the order in which raw first shows them.

    One in another partition or under another key than raw has it is out of order too: order holds only within a key.
    """
    place: dict[str, tuple[int, bytes | None, int]] = {}
    for record in sorted(evidence.raw, key=lambda record: (record.partition, record.offset)):
        place.setdefault(record.event_id, (record.partition, record.key, record.offset))
    last: defaultdict[tuple[int, bytes | None], int] = defaultdict(lambda: -1)
    for each in sorted(first, key=lambda each: (each.partition, each.offset)):
        here = (each.partition, each.key)
        *there, offset = place.get(each.event.event_id, (*here, -1))
        if offset < last[here] or tuple(there) != here:
            yield f"enriched: {each.event.event_id}"
        last[here] = max(offset, last[here])
