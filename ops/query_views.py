"""A DuckDB that knows three views and nothing else: no file, no network, no setting can be reached from a query."""

from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow.dataset as ds

from events.errors import NotReady
from ops.dead_letters import safe

MEMORY = "2GB"
"""Beyond, DuckDB goes on in the temporary folder."""

Datasets = dict[str, ds.Dataset]
"""What the views are made of: `events` and `deliveries`."""

ALERTS = """
CREATE VIEW alerts AS
SELECT alert_uuid,
       arg_max(short_id, kafka_offset) AS short_id,
       arg_max(title, kafka_offset) AS title,
       arg_max(urgency, kafka_offset) AS urgency,
       arg_max(status, kafka_offset) AS status,
       arg_max(rule_name, kafka_offset) AS rule_name,
       arg_max(rule_uuid, kafka_offset) AS rule_uuid,
       arg_max(entity_name, kafka_offset) AS entity_name,
       arg_max(entity_uuid, kafka_offset) AS entity_uuid,
       arg_max(alert_type, kafka_offset) AS alert_type,
       arg_max(alert_category, kafka_offset) AS alert_category,
       arg_max(source, kafka_offset) AS source,
       arg_max(target, kafka_offset) AS target,
       arg_max("similar", kafka_offset) AS occurrences,
       arg_max(link, kafka_offset) AS link,
       arg_max(tenant, kafka_offset) AS tenant,
       arg_max(community, kafka_offset) AS community,
       count(DISTINCT event_id) AS events,
       min(received_at) AS first_received_at,
       max(received_at) AS last_received_at,
       min(event_at) AS first_event_at,
       max(event_at) AS last_event_at,
       coalesce(bool_or(type = 'alert' AND action = 'deleted'), false) AS deleted
FROM events WHERE alert_uuid IS NOT NULL GROUP BY alert_uuid
"""
"""One row per alert, each column as it was last said; all records of an alert are in one partition, in order."""


def connect(
    datasets: Datasets, folder: Path, since: datetime | None, until: datetime | None
) -> duckdb.DuckDBPyConnection:
    """Return a connection with the views, and everything else shut; what it cannot hold goes to `folder`.

    The files are read by Arrow on its behalf, so DuckDB itself needs to open none.
    """
    con = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": MEMORY,
            "temp_directory": str(folder),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "python_enable_replacements": "false",
        },
    )
    con.execute("SET TimeZone = 'UTC'")
    for name, time in (("events", "received_at"), ("deliveries", "receipt_at")):
        con.register(f"{name}_read", datasets[name])
        con.execute(f"CREATE VIEW {name} AS SELECT * FROM {name}_read {_between(time, since, until)}")  # noqa: S608 - ours
    con.execute(ALERTS)
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
    return con


def check(sql: str) -> None:
    """Make sure that this is one question.

    Raises NotReady for more than one, none, or what would change something.
    """
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise refused(error) from error
    kinds = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
    if len(statements) != 1 or statements[0].type not in kinds:
        raise NotReady("A query is one SELECT (or DESCRIBE, SUMMARIZE, SHOW, EXPLAIN): the archive is only read.")


def refused(error: duckdb.Error) -> NotReady:
    """Return what DuckDB has to say in one line, without the query itself."""
    lines = [line.strip() for line in str(error).partition("\nLINE ")[0].splitlines()]
    return NotReady(safe(" ".join(filter(None, lines))))


def _between(time: str, since: datetime | None, until: datetime | None) -> str:
    bounds = [
        f"{time} {sign} TIMESTAMPTZ '{bound.isoformat()}'"
        for sign, bound in ((">=", since), ("<", until))
        if bound is not None
    ]
    return f"WHERE {' AND '.join(bounds)}" if bounds else ""
