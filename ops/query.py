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
from ops import query_print, query_tail, query_views
from ops.bar import Bar
from ops.questions import named
from sinks.archive.read import entries
from sinks.archive.settings import ArchiveSettings
from sinks.archive.shapes import DELIVERIES, ENRICHED, Shape


@dataclass(frozen=True)
class Span:
    """Which records are asked about, by when they were received or said."""

    since: datetime | None = None
    until: datetime | None = None


def run(
    question: str, format_: query_print.Format, span: Span, *, archive: ArchiveSettings, kafka: KafkaSettings | None
) -> None:
    """Print the answer to a question in SQL, or to one that has a name; without `kafka` of the archive alone.

    Raises NotReady for what is no question, and when the cluster does not answer.
    """
    sql = named(question)
    query_views.check(sql)
    with tempfile.TemporaryDirectory(prefix="tocsin-query-") as temporary:
        datasets = asyncio.run(_datasets(archive.root(), kafka, Path(temporary), span))
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


async def _datasets(root: Path, kafka: KafkaSettings | None, folder: Path, span: Span) -> query_views.Datasets:
    """Return what each view is made of: the files the manifest lists, and of Kafka what lies behind them."""
    found = {}
    for name, (topic, shape) in _views((kafka or KafkaSettings()).topic_prefix).items():
        # The manifest is read first: what is archived meanwhile is read from Kafka, and nothing twice.
        settled, files = dict[int, int](), list[Path]()
        for entry in entries(root, topic):
            settled[entry.partition] = entry.next_offset
            files += [root / file.path for file in entry.files]
        if kafka is not None:
            with Bar(f"reading {topic}") as bar:
                files += await query_tail.fetch(
                    kafka, topic, folder, shape=shape, begin=settled, since=span.since, progress=bar.show
                )
        found[name] = _dataset(files, shape.schema)
    return found


def _dataset(files: list[Path], schema: pa.Schema) -> ds.Dataset:
    """Return the files as one table; a column that an older file has not is null there."""
    if not files:
        return ds.dataset(schema.empty_table())
    return ds.dataset([str(path) for path in files], schema=schema, format="parquet")
