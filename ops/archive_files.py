"""Which offsets of the enriched topic the archive really has: by what is in its files, not by what the manifest says."""

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from ops.scan import Span
from sinks.archive.manifest import Entry, Manifest
from sinks.archive.storage import Root, opened


@dataclass
class Archived:
    """What was found for a span of offsets."""

    offsets: set[int] = field(default_factory=set)
    next_offset: int = 0
    """Everything below it was settled."""
    lost: dict[str, Span] = field(default_factory=dict)
    """Files that the manifest lists, and that are not there or cannot be read, with the offsets of their entry."""
    gaps: list[Entry] = field(default_factory=list)
    """Offsets that left Kafka before they were archived."""


def offsets(root: Root, topic: str, partition: int, span: Span) -> Archived:
    """Look into every file that has rows of the span.

    Raises BrokenManifest.
    """
    found = Archived()
    for entry in _overlapping(Manifest(opened(root), topic, partition), span, found):
        if entry.kind == "gap":
            found.gaps.append(entry)
        for file in entry.files:
            try:
                column = pq.ParquetFile(opened(root).source(file.path)).read(columns=["kafka_offset"])["kafka_offset"]
            except (FileNotFoundError, pa.ArrowInvalid):
                found.lost[file.path] = Span(entry.first_offset, entry.next_offset)
                continue
            found.offsets.update(column.to_pylist())
    return found


def _overlapping(manifest: Manifest, span: Span, found: Archived) -> list[Entry]:
    """Return the entries of a span; they lie at the end of the manifest, so it is read from there."""
    entries: list[Entry] = []
    for number, seq in enumerate(reversed(manifest.sequences())):
        entry, _ = manifest.read(seq)
        if not number:
            found.next_offset = entry.next_offset
        if entry.next_offset <= span.start:
            break
        entries.append(entry)
    return entries
