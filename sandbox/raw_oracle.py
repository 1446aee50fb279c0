"""The oracle of ingest: compare what senders were answered with what is in the raw topic, and behind the stream."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from events.codec import parse_object
from events.identity import identify
from sandbox.posts import Post

AROUND = 5.0
"""Seconds before and after a fault in which a copy may have been made: what waited for its acknowledgement then."""

SABOTAGE = ("drop", "invent", "copy", "double", "reorder")


@dataclass(frozen=True)
class Fault:
    """Something that was broken on purpose, and until when it took to be well again; Unix seconds."""

    what: str
    began: float
    ended: float


@dataclass(frozen=True)
class Record:
    """A record of the raw topic."""

    partition: int
    offset: int
    key: bytes
    value: bytes
    event_id: str
    delivery_id: str


@dataclass
class Verdict:
    """What is wrong; each list names the events concerned."""

    missing: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    """Copies far from any fault."""
    doubled: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    copies: int = 0

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return not (self.missing or self.invented or self.stray or self.doubled or self.reordered)

    def figures(self) -> str:
        """Return the last line of a run."""
        return (
            f"missing={len(self.missing)} invented={len(self.invented)} copies={self.copies} "
            f"doubled_after_dedupe={len(self.doubled)} reordered={len(self.reordered)}"
        )


def judge(posts: Sequence[Post], faults: Sequence[Fault], records: Iterable[Record], enriched: list[str]) -> Verdict:
    """Compare; `enriched` are the event ids that came out of the stream."""
    verdict = Verdict()
    found: defaultdict[bytes, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        found[record.value].append(record)
    known = {post.body: post for post in posts}
    verdict.missing = [_name(post) for post in posts if post.accepted and post.body not in found]
    for value, copies in found.items():
        post = known.get(value)
        if post is None:
            verdict.invented.append(f"{copies[0].partition}/{copies[0].offset}: {value[:60]!r}")
            continue
        verdict.invented += _altered(post, copies)
        verdict.copies += len(copies) - 1
        if len(copies) > 1 and not _near(post, faults):
            verdict.stray.append(_name(post))
    _behind_the_stream(verdict, found, enriched)
    verdict.reordered = list(_reordered(posts, {value: copies[0] for value, copies in found.items()}))
    return verdict


def _altered(post: Post, copies: list[Record]) -> Iterator[str]:
    """Yield records whose key or id is not that of their body, and copies that do not repeat the ids of the first."""
    first = copies[0]
    identity = identify(parse_object(post.body), post.body, first.delivery_id)
    for record in copies:
        right = (identity.key, identity.event_id, first.delivery_id, first.partition)
        if (record.key, record.event_id, record.delivery_id, record.partition) != right:
            yield f"{record.partition}/{record.offset}: not as its body and its first copy say"


def _near(post: Post, faults: Sequence[Fault]) -> bool:
    return any(post.at < fault.ended + AROUND and post.until > fault.began - AROUND for fault in faults)


def _behind_the_stream(verdict: Verdict, found: dict[bytes, list[Record]], enriched: list[str]) -> None:
    counts = Counter(enriched)
    ids = {record.event_id for copies in found.values() for record in copies}
    verdict.doubled = [name for name, count in counts.items() if count > 1]
    verdict.missing += [f"behind the stream: {name}" for name in sorted(ids - counts.keys())]
    verdict.invented += [f"behind the stream: {name}" for name in sorted(counts.keys() - ids)]


def _reordered(posts: Sequence[Post], first: dict[bytes, Record]) -> Iterator[str]:
    """Yield posts that stand before one which had been answered 2xx when they began, by alert."""
    by_alert: defaultdict[str, list[Post]] = defaultdict(list)
    for post in posts:
        if post.body in first:
            by_alert[post.alert].append(post)
    for of_alert in by_alert.values():
        answered = sorted((post for post in of_alert if post.accepted), key=lambda post: post.ended)
        floor, done = -1, 0
        for post in of_alert:  # in the order they began
            while done < len(answered) and answered[done].ended < post.begun:
                floor = max(floor, first[answered[done].body].offset)
                done += 1
            if first[post.body].offset < floor:
                yield _name(post)


def _name(post: Post) -> str:
    return f"post at {post.at:.3f}, alert {post.alert}, answered {post.status} at {post.until:.3f}"


def spoil(how: str, posts: Sequence[Post], records: list[Record], enriched: list[str], random: Random) -> None:
    """Change the evidence on purpose: an oracle that has never failed proves nothing."""
    sent = {post.body: post for post in posts if post.accepted}
    one = random.choice([record for record in records if record.value in sent])
    if how == "drop":
        records[:] = [record for record in records if record.value != one.value]
    elif how == "invent":
        records.append(replace(one, value=b'{"never":"posted"}', offset=one.offset + 1_000_000))
    elif how == "copy":
        records.append(replace(one, delivery_id="another", offset=one.offset + 1_000_000))
    elif how == "double":
        enriched.append(one.event_id)
    elif how == "reorder":
        same = [each for each in records if each.key == one.key and each.value in sent]
        early = min(same, key=lambda each: sent[each.value].ended)
        late = max(same, key=lambda each: sent[each.value].begun)
        for record, offset in ((early, late.offset), (late, early.offset)):
            records[records.index(record)] = replace(record, offset=offset)
