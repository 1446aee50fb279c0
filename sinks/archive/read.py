"""Reads the archive as it must be read: through the manifests, never by looking at what files there are."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sinks.archive import layout
from sinks.archive.manifest import Entry, Manifest
from sinks.archive.rows import SCHEMA
from sinks.archive.storage import Root, opened


def entries(root: Root, topic: str | None = None) -> Iterator[Entry]:
    """Yield every manifest entry, of all topics or of one, partition by partition in order.

    Raises BrokenManifest.
    """
    folder = opened(root)
    for each in sorted(folder.names(layout.MANIFEST)) if topic is None else [topic]:
        partitions = folder.names(f"{layout.MANIFEST}/{each}")
        for partition in sorted(int(name) for name in partitions if name.isdigit()):
            yield from Manifest(folder, each, partition).entries()


def files(root: Path) -> list[Path]:
    """Return the data files that count, in the order of their offsets partition by partition.

    Raises BrokenManifest.
    """
    return [root / file.path for entry in entries(root) for file in entry.files]


def gaps(root: Root) -> list[Entry]:
    """Return the entries that name offsets which left Kafka before they were archived."""
    return [entry for entry in entries(root) if entry.kind == "gap"]


def read_rows(root: Root, columns: list[str] | None = None) -> pa.Table:
    """Return all rows of events, or these columns of them; for folders that fit in memory.

    Raises BrokenManifest, and FileNotFoundError for a listed file that is gone.
    """
    schema = SCHEMA if columns is None else pa.schema([SCHEMA.field(name) for name in columns])
    events = [file.path for entry in entries(root) for file in entry.files if file.path.startswith(f"{layout.DATA}/")]
    tables = [pq.ParquetFile(opened(root).source(path)).read(columns=columns) for path in events]
    return pa.concat_tables([schema.empty_table(), *tables], promote_options="permissive")
