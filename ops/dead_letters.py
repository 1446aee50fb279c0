"""`tocsin dead-letters`: what was buried and why, and what becomes of it."""

import asyncio
import json
import sys
from collections.abc import Coroutine
from contextlib import aclosing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from aiokafka import ConsumerRecord
from rich.console import Console
from rich.table import Table
from rich.text import Text

from events.errors import NotReady
from events.headers import as_text
from events.settings import KafkaSettings
from events.topics import Topics
from ops import kafka_errors
from ops.bar import Bar
from ops.letters import KEPT, Fate, Letter, Place, Wanted, grouped, leaving
from ops.redrive import ANYWHERE, Desk, Way, look
from ops.scan import scan
from sinks import main as sinks_main
from sinks.settings import SinksSettings

SHOWN = 4_000
"""Characters of a value that are shown."""

T = TypeVar("T")

console = Console(highlight=False)


def show_causes(kafka: KafkaSettings, wanted: Wanted, *, as_json: bool) -> None:
    """Print the open letters by cause, and warn of those that will leave Kafka soon."""
    letters = _asked(kafka, _open(kafka, wanted))
    if as_json:
        print(json.dumps([asdict(each) for each in grouped(letters)], default=str, indent=2))
    elif letters or wanted == Wanted():
        _print_causes(letters)
    else:
        console.print("No open letter matches; without a filter `tocsin dead-letters list` shows all there are.")
    _warn(letters)


def show_one(kafka: KafkaSettings, place: Place) -> None:
    """Print a letter's headers and its value; what cannot be seen or could lead a terminal astray is escaped.

    Raises NotReady when there is none.
    """
    record = _asked(kafka, _fetch(kafka, place))
    for name, value in sorted(as_text(record.headers).items()):
        console.print(Text(f"{name:24} {safe(value)}"))
    value = (record.value or b"").decode("utf-8", "replace")
    console.print(Text(f"\n{safe(value[:SHOWN])}"))
    if len(value) > SHOWN:
        console.print(f"… and {len(value) - SHOWN:,} characters more")


def settle(kafka: KafkaSettings, wanted: Wanted, fate: Fate, *, yes: bool, to: str = "") -> int:
    """Say what would be done, and with `yes` do it, of a target's letters `to` another; return the exit code.

    Raises NotReady, also when the rules have no such target.
    """
    way = _way(to) if fate == "redriven" else ANYWHERE
    letters = _asked(kafka, _open(kafka, wanted))
    if fate == "redriven":
        for reason in sorted({_no_way(each, way) for each in letters if not way.has(each)}):
            console.print(Text(f"Left where they are: {safe(reason)}"))
        letters = [each for each in letters if way.has(each)]
    if not letters:
        console.print("No open letter is meant by that.")
        return 0
    _print_causes(letters, way if fate == "redriven" else None)
    if not yes:
        verb = "redriven" if fate == "redriven" else "dropped, for good"
        console.print(f"\n{len(letters):,} letters would be {verb}. Nothing is done without --yes.")
        return 0
    done = _asked(kafka, _settle(kafka, wanted, fate, way, len(letters)))
    console.print(f"{done:,} letters {fate}.")
    return 0


def _way(to: str) -> Way:
    try:
        rules = sinks_main.load(SinksSettings())
    except NotReady as error:
        if to:
            raise
        console.print(Text(f"Whether a target is still there cannot be asked: {error}", "yellow"))
        return ANYWHERE
    if to:
        sinks_main.choose(rules, to, "")
    return Way(frozenset(rules.targets), to)


def safe(text: str) -> str:
    """Return text of others without what moves a terminal's cursor or turns its direction."""
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)


def _print_causes(letters: list[Letter], way: Way | None = None) -> None:
    if not letters:
        console.print("No dead letter is open.")
        return
    table = Table(box=None, pad_edge=False)
    for title in (
        "count",
        "stage",
        "target",
        "first seen",
        "last seen",
        "one of them",
        "goes to" if way else "",
        "reason",
    ):
        if title:
            table.add_column(title, overflow="fold", no_wrap=title not in ("reason", "target"))
    for group in grouped(letters):
        to = ["raw" if group.stage == "stream" else way.to or group.target] if way else []
        seen = (f"{each:%Y-%m-%d %H:%M}" for each in (group.first_at, group.last_at))
        cells = (f"{group.count:,}", group.stage, group.target or "-", *seen, group.example, *to, group.reason)
        table.add_row(*(Text(safe(cell)) for cell in cells))
    console.print(table)


def _warn(letters: list[Letter]) -> None:
    if soon := leaving(letters, datetime.now(UTC)):
        count, left = soon
        days = max(left, timedelta()) / timedelta(days=1)
        print(
            f"WARNING: {count:,} of them leave Kafka within a week, the first in {days:.1f} days "
            f"(letters are kept {KEPT.days} days): redrive or drop them before.",
            file=sys.stderr,
        )


def _no_way(letter: Letter, way: Way) -> str:
    if letter.stage == "sink" and letter.target not in ("", "archive"):
        return (
            f"the rules have no target {way.to or letter.target}, so nobody would read what is sent to it: put it back into "
            "the rules, or say with --to which target gets its letters."
        )
    return f"letters of stage {letter.stage}, target {letter.target or '-'}, have no way back; look at them, then drop them."


def _asked(kafka: KafkaSettings, work: Coroutine[Any, Any, T]) -> T:
    with kafka_errors.told(kafka):
        return asyncio.run(work)


async def _open(kafka: KafkaSettings, wanted: Wanted) -> list[Letter]:
    with Bar("reading letters") as passed:
        return (await look(kafka, passed.show)).open(wanted)


async def _settle(kafka: KafkaSettings, wanted: Wanted, fate: Fate, way: Way, count: int) -> int:
    with Bar(fate) as bar:
        async with Desk(kafka) as desk:
            return await desk.settle(wanted, fate, lambda _passed, _all: None, lambda done: bar.show(done, count), way)


async def _fetch(kafka: KafkaSettings, place: Place) -> ConsumerRecord:
    topic = Topics(kafka.topic_prefix).dead_letters
    async with aclosing(scan(kafka, topic, partitions=[place.partition])) as records:
        async for record in records:
            if record.offset == place.offset:
                return record
    raise NotReady(f"There is no letter {place} in {topic}; `tocsin dead-letters list` names one of each cause.")
