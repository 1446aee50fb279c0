"""Rows of a query for a person, a program or a spreadsheet."""

import csv
import json
import math
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal, Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops.dead_letters import safe

Format = Literal["table", "json", "csv"]

AT_A_TIME = 1_000
SHOWN = 200
"""Rows of a table for a person; the other formats have all."""

_FORMULA = ("=", "+", "-", "@")


class Answer(Protocol):
    """What is needed of a DB-API cursor that has executed something."""

    @property
    def description(self) -> list[tuple[Any, ...]] | None:
        """A tuple per column, the name first."""
        ...

    def fetchmany(self, size: int = ..., /) -> list[Any]:
        """Return some rows more."""
        ...


def show(answer: Answer, format_: Format) -> None:
    """Print all rows, or of a table the first SHOWN."""
    names = [column[0] for column in answer.description or ()]
    {"table": _table, "json": _json, "csv": _csv}[format_](names, answer)


def _rows(answer: Answer) -> Iterator[tuple[Any, ...]]:
    while rows := answer.fetchmany(AT_A_TIME):
        yield from rows


def _table(names: list[str], answer: Answer) -> None:
    console = Console(highlight=False)
    rows = answer.fetchmany(SHOWN + 1)
    table = Table(box=None, pad_edge=False)
    for place, name in enumerate(names):
        number = any(isinstance(row[place], int | float | Decimal) for row in rows)
        table.add_column(Text(safe(name)), overflow="fold", justify="right" if number else "left")
    for row in rows[:SHOWN]:
        table.add_row(*(Text(safe(_cell(value))) for value in row))
    console.print(table)
    if len(rows) > SHOWN:
        print(f"… the first {SHOWN} rows; --format csv or json has all.", file=sys.stderr)
    elif not rows:
        print("No rows.", file=sys.stderr)


def _json(names: list[str], answer: Answer) -> None:
    """Print one list of objects, one to a line; beyond ASCII everything is escaped, so a terminal is safe."""
    before = "["
    for row in _rows(answer):
        pairs = {name: _plain(value) for name, value in zip(names, row, strict=True)}
        print(before, json.dumps(pairs, default=str), sep="\n", end="")
        before = ","
    print("[]" if before == "[" else "\n]")


def _csv(names: list[str], answer: Answer) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([_for_a_spreadsheet(name) for name in names])
    for row in _rows(answer):
        writer.writerow([_for_a_spreadsheet(value) for value in row])


def _for_a_spreadsheet(value: Any) -> str:
    """Return a cell that no spreadsheet runs: the text of an alert is its author's, and may begin with `=`."""
    text = safe(_cell(value))
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:.6g}"
        case list() | dict():
            return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    return value.isoformat() if hasattr(value, "isoformat") else value
