"""A query sees the views and nothing else, and every answer is fit for the one who reads it."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from events.errors import NotReady
from ops import query_print, query_views
from ops.questions import named, titles
from sinks.archive import receipt_rows, rows

SEEN = datetime(2026, 7, 29, 8, tzinfo=UTC)


@pytest.fixture
def files(tmp_path):
    """Two files of events; the older one is of before there was a column `link`."""
    made = [{"event_id": f"e{n}", "received_at": SEEN + timedelta(hours=n), "kafka_offset": n} for n in range(4)]
    old = rows.SCHEMA.remove(rows.SCHEMA.get_field_index("link"))
    paths = [tmp_path / "old.parquet", tmp_path / "new.parquet"]
    pq.write_table(pa.Table.from_pylist(made[:2], old), paths[0])
    pq.write_table(pa.Table.from_pylist([each | {"link": "l"} for each in made[2:]], rows.SCHEMA), paths[1])
    return paths


@pytest.fixture
def connect(files, tmp_path):
    def connect(since=None, until=None):
        datasets = {
            "events": ds.dataset([str(path) for path in files], schema=rows.SCHEMA, format="parquet"),
            "deliveries": ds.dataset(receipt_rows.SCHEMA.empty_table()),
        }
        return query_views.connect(datasets, tmp_path / "spill", since, until)

    return connect


def test_a_column_an_older_file_has_not_is_null(connect):
    assert connect().execute("SELECT link FROM events ORDER BY event_id").fetchall() == [
        (None,),
        (None,),
        ("l",),
        ("l",),
    ]


def test_the_span_holds_for_every_view(connect):
    con = connect(SEEN + timedelta(hours=1), SEEN + timedelta(hours=3))
    assert con.execute("SELECT event_id FROM events ORDER BY 1").fetchall() == [("e1",), ("e2",)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/proc/self/environ')",
        "SELECT * FROM glob('/*')",
        "FROM '{file}'",
        "FROM read_parquet('{file}')",
        "FROM read_parquet('https://127.0.0.1:1/x')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT getenv('HOME')",
        "SELECT * FROM files",
        "COPY (SELECT 1) TO '{folder}/x.csv'",
        "EXPORT DATABASE '{folder}/x'",
        "ATTACH '{folder}/x.db'",
        "LOAD httpfs",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET allowed_directories = ['/']",
        "SELECT * FROM query_table('/etc/passwd')",
    ],
)
def test_nothing_else_can_be_reached_even_unchecked(connect, files, tmp_path, sql):
    before = {path: path.read_bytes() for path in files}
    with pytest.raises(duckdb.Error):
        connect().execute(sql.format(file=files[0], folder=tmp_path)).fetchall()
    assert {path: path.read_bytes() for path in files} == before
    assert set(tmp_path.iterdir()) <= {*files, tmp_path / "spill"}


@pytest.mark.parametrize("sql", ["SELECT 1", "from events", "DESCRIBE events", "SUMMARIZE events", "EXPLAIN SELECT 1"])
def test_questions(sql):
    query_views.check(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELECT 1; SELECT 2",
        "DROP VIEW events",
        "CREATE TABLE t AS SELECT 1",
        "COPY (SELECT 1) TO 'x'",
        "SET memory_limit = '1TB'",
        "PRAGMA database_list",
        "CALL pragma_version()",
    ],
)
def test_what_is_no_question(sql):
    with pytest.raises(NotReady, match="one SELECT"):
        query_views.check(sql)


def test_a_mistake_is_one_line(connect):
    with pytest.raises(NotReady, match="Parser Error"):
        query_views.check("SELECT FROM WHERE")
    with pytest.raises(duckdb.Error) as refused:
        connect().execute("SELECT titel FROM\n events")
    said = str(query_views.refused(refused.value))
    assert "titel" in said
    assert "title" in said
    assert said.isprintable()


def test_every_named_question_is_one_and_says_what_it_answers(connect):
    assert len(titles()) >= 12
    for name, title in titles().items():
        assert title[0].isupper()
        query_views.check(named(name))
        connect().execute(named(name)).fetchall()
    assert named("SELECT 1") == "SELECT 1"
    with pytest.raises(NotReady, match=r"tocsin query --list"):
        named("loudest-rules")


class Answer:
    def __init__(self, **columns: list[object]) -> None:
        self.description = [(name,) for name in columns]
        self._rows = list(zip(*columns.values(), strict=True))

    def fetchmany(self, size: int) -> list[tuple[object, ...]]:
        taken, self._rows = self._rows[:size], self._rows[size:]
        return taken


def test_json_is_json_whatever_is_in_it(capsys):
    values = [1.5, float("nan"), 2**80, Decimal("1.5"), SEEN, date(2026, 7, 29), [float("inf"), "\x1b"], {"a": None}]
    query_print.show(Answer(v=values), "json")
    said = capsys.readouterr().out
    assert said.replace("\n", "").isprintable()
    assert [row["v"] for row in json.loads(said)] == [
        1.5,
        None,
        2**80,
        1.5,
        "2026-07-29T08:00:00+00:00",
        "2026-07-29",
        [None, "\x1b"],
        {"a": None},
    ]
    query_print.show(Answer(v=[]), "json")
    assert json.loads(capsys.readouterr().out) == []


def test_csv_has_every_row_and_no_formula(capsys):
    query_print.show(Answer(v=["=1+1", "a,\nb", None, -1, "-1"] * 300, w=[1] * 1500), "csv")
    read = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert [row[0] for row in read[:6]] == ["v", "'=1+1", "a,\\u000ab", "", "-1", "'-1"]
    assert len(read) == 1501


def test_a_table_ends_and_says_so(capsys):
    query_print.show(Answer(v=[f"row {n}" for n in range(300)]), "table")
    said = capsys.readouterr()
    assert "row 199" in said.out
    assert "row 200" not in said.out
    assert "first 200 rows" in said.err
