"""The verb `tocsin query`; what it does stands in ops/query.py."""

from enum import StrEnum
from typing import Annotated

import typer

from events.settings import KafkaSettings
from ops.moments import moment
from ops.questions import titles


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    json = "json"
    csv = "csv"


def query(
    question: Annotated[str, typer.Argument(help="SQL in the dialect of DuckDB, or the name of a question.")] = "",
    list_: Annotated[bool, typer.Option("--list", help="Show the questions that have a name.")] = False,
    format_: Annotated[Format, typer.Option("--format", help="table, json or csv.")] = Format.table,
    since: Annotated[str, typer.Option(help="Only records received from then on: 24h, 7d, or a time.")] = "",
    until: Annotated[str, typer.Option(help="Only records received before that: 24h, 7d, or a time.")] = "",
    archive_only: Annotated[bool, typer.Option("--archive-only", help="Leave out what is only in Kafka yet.")] = False,
) -> None:
    """Ask the archive, and what is still only in Kafka, in SQL: `tocsin query noisiest-rules --since 7d`.

    Views: `events` (a row per record), `alerts` (a row per alert, as it was last said), `deliveries` (a row per
    receipt). `DESCRIBE events` shows the columns. A query reads, and reaches nothing but the views.
    """
    if list_ or not question:
        for name, title in titles().items():
            print(f"{name:26} {title}")
        return
    from ops import query as ops_query
    from sinks.archive.settings import ArchiveSettings

    span = ops_query.Span(moment(since) if since else None, moment(until) if until else None)
    kafka = None if archive_only else KafkaSettings()
    ops_query.run(question, format_.value, span, archive=ArchiveSettings(), kafka=kafka)
