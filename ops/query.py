"""`tocsin query`: ask the archive, and what is still only in Kafka, in SQL."""

import asyncio
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from events.settings import KafkaSettings
from events.topics import Topics
from ops import archive_errors, kafka_errors, query_print, query_tail, query_views
from ops.bar import Bar
from ops.questions import named
from sinks.archive.manifest import live
from sinks.archive.read import entries
from sinks.archive.settings import ArchiveSettings
from sinks.archive.shapes import DELIVERIES, ENRICHED, Shape
from sinks.archive.storage import Store


@dataclass(frozen=True)
class Span:
    """Which records are asked about, by when they were received or said."""

    since: datetime | None = None
    until: datetime | None = None


def run(
    question: str, format_: query_print.Format, span: Span, *, archive: ArchiveSettings, kafka: KafkaSettings | None
) -> None:
    """Print the answer to a question in SQL, or to one that has a name; without `kafka` of the archive alone.

    Raises NotReady for what is no question, and when the cluster does not answer or the archive cannot be read.
    """
    sql = named(question)
    query_views.check(sql)
    with tempfile.TemporaryDirectory(prefix="tocsin-query-") as temporary:
        datasets = asyncio.run(_datasets(archive.store(), kafka, Path(temporary), span))
        con = query_views.connect(datasets, Path(temporary), span.since, span.until)
        try:
            query_print.show(con.execute(sql), format_)
        except duckdb.Error as error:
            raise query_views.refused(error) from error
        finally:
            con.close()


def _views(prefix: str) -> dict[str, tuple[str, Shape]]:
    topics = Topics(prefix)

    return {"events": (topics.enriched, ENRICHED), "deliveries": (topics.deliveries, DELIVERIES)}


async def _datasets(store: Store, kafka: KafkaSettings | None, folder: Path, span: Span) -> query_views.Datasets:
    """Return what each view is made of: the files the manifest lists, and of Kafka what lies behind them."""
    found = {}
    for name, (topic, shape) in _views((kafka or KafkaSettings()).topic_prefix).items():
        # The manifest is read first: what is archived meanwhile is read from Kafka, and nothing twice.
        with archive_errors.told(store):
            listed, tail = list(entries(store, topic)), list[Path]()
        settled = {entry.partition: entry.next_offset for entry in listed}
        files = [file.path for file in live(listed)]
        if kafka is not None:
            with Bar(f"reading {topic}") as bar, kafka_errors.told(kafka):
                tail = await query_tail.fetch(
                    kafka, topic, folder, shape=shape, begin=settled, since=span.since, progress=bar.show
                )
        found[name] = _dataset(store, files, tail, shape.schema)
    return found


def _dataset(store: Store, files: list[str], tail: list[Path], schema: pa.Schema) -> ds.Dataset:
    """Return archived files and the ones of Kafka as one table."""
    parts = [ds.dataset(schema.empty_table())]
    if files:
        with archive_errors.told(store):
            parts.append(store.dataset(files, schema))
    if tail:
        parts.append(ds.dataset([str(path) for path in tail], schema=schema, format="parquet"))
    return ds.UnionDataset(schema, parts)
