"""Which files of the archive count in one partition, and which offsets are really in them, whatever was merged meanwhile."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from events.errors import NotReady
from ops.scan import Span
from sinks.archive.manifest import BrokenManifest, Entry, Manifest
from sinks.archive.storage import Root, opened

AT_ONCE = 16
"""Entries of a manifest that are read at the same time: a bucket takes its time for each."""
CLOCKS = timedelta(days=1)
"""How much earlier than a record an entry that lists it may have been made, by the clocks of two hosts."""


class Unreadable(NotReady):
    """A file that counts is gone or damaged, or the storage does not answer."""


class File(NamedTuple):
    """A data file that counts."""

    path: str
    span: Span
    """Offsets among which its rows are."""


@dataclass
class Listed:
    """What the manifest says of a span of offsets."""

    files: list[File] = field(default_factory=list)
    """By the first of their offsets."""
    begin: int = 0
    """What lies before it, in the span, was not archived: it left Kafka before."""
    next_offset: int = 0
    """Everything below it was settled."""
    gaps: list[Entry] = field(default_factory=list)
    """Offsets that left Kafka before they were archived."""


def listed(root: Root, topic: str, partition: int, span: Span, since: datetime | None = None) -> Listed:
    """Return the files that count and may have rows of the span, of what was archived since then.

    Whoever merges files lists the result behind them, so that the manifest is read from its end. Raises BrokenManifest,
    Unreadable.
    """
    try:
        entries = _from_the_end(Manifest(opened(root), topic, partition), span.start, since)
    except OSError as error:
        raise Unreadable(f"The archive {opened(root).name} cannot be read: {error}") from error
    if not entries:
        return Listed()
    spans: dict[str, Span] = {}
    for entry in entries:
        own = Span(entry.first_offset, entry.next_offset)
        spans |= {f.path: _replaced(entry, f.path, spans) if entry.replaces else own for f in entry.files}
    for path in {path for entry in entries for path in entry.replaces}:
        spans.pop(path, None)
    files = [File(path, each) for path, each in spans.items() if each.start < span.end and each.end > span.start]
    gaps = [entry for entry in entries if entry.kind == "gap" and entry.next_offset > span.start]
    late = entries[1:] if since and entries[0].created_at < since - CLOCKS else entries
    begins = [each.first_offset for each in late if each.seq == 0] + [
        each.next_offset for each in late if each.kind == "gap"
    ]
    begin = max(begins, default=0)
    return Listed(sorted(files, key=lambda file: file.span.start), begin, entries[-1].next_offset, gaps)


def _from_the_end(manifest: Manifest, start: int, since: datetime | None) -> list[Entry]:
    """Return the entries that end behind an offset, in order, each checked against the one before."""
    sequences, entries, wanted = manifest.sequences(), list[Entry](), None
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while sequences:
            some, sequences = sequences[-4 * AT_ONCE :], sequences[: -4 * AT_ONCE]
            for entry, sha256 in pool.map(manifest.read, reversed(some)):
                if entries and (entry.seq + 1, sha256) != wanted:
                    raise BrokenManifest(f"{manifest.topic}/{manifest.partition}: {entries[-1].seq} does not follow.")
                if entry.next_offset <= start and entries:
                    return entries[::-1]
                entries.append(entry)
                wanted = entry.seq, entry.previous
                if since and entry.created_at < since - CLOCKS:
                    return entries[::-1]
    if entries and entries[-1].seq:
        raise BrokenManifest(f"{manifest.topic}/{manifest.partition}: entry {entries[-1].seq - 1} is missing.")
    return entries[::-1]


def _replaced(entry: Entry, path: str, spans: Mapping[str, Span]) -> Span:
    """Return the offsets of the files that a merged one was made of: they were in its folder."""
    folder = path.rpartition("/")[0]
    near = [each for each in entry.replaces if each.rpartition("/")[0] == folder]
    known = [spans[each] for each in near if each in spans]
    if not known:
        return Span(0, 0)  # all of them lie before what was read of the manifest
    start = min(each.start for each in known) if len(known) == len(near) else 0
    return Span(start, max(each.end for each in known))


@dataclass
class Archived:
    """Which offsets of a span the archive really has: by what is in its files, not by what the manifest says."""

    offsets: set[int] = field(default_factory=set)
    next_offset: int = 0
    """Everything below it was settled."""
    lost: dict[str, Span] = field(default_factory=dict)
    """Files that count, and that are not there or cannot be read, with the offsets that their rows were among."""
    gaps: list[Entry] = field(default_factory=list)
    """Offsets that left Kafka before they were archived."""


def offsets(root: Root, topic: str, partition: int, span: Span) -> Archived:
    """Look into every file that has rows of the span.

    Raises BrokenManifest, Unreadable.
    """
    while True:
        known = listed(root, topic, partition, span)
        found = Archived(next_offset=known.next_offset, gaps=known.gaps)
        for file in known.files:
            try:
                column = pq.ParquetFile(opened(root).source(file.path)).read(columns=["kafka_offset"])["kafka_offset"]
            except (OSError, pa.ArrowInvalid):  # OSError: not there, or compressed bytes that are none
                found.lost[file.path] = file.span
                continue
            found.offsets.update(column.to_pylist())
        # What was merged and deleted since it was listed is not lost; nor is anything where the storage went away.
        if not found.lost or found.lost.keys() <= {file.path for file in listed(root, topic, partition, span).files}:
            return found
