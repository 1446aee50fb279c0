"""`tocsin targets`: which there are and what waits for each, and where one goes on."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiokafka import TopicPartition
from rich.console import Console
from rich.table import Table
from rich.text import Text

from events.errors import NotReady
from events.headers import as_text
from events.settings import KafkaSettings
from events.topics import Topics
from ops import kafka_errors
from ops.life_targets import Place
from ops.scan import Span, reading
from sinks import relocation
from sinks.finished import decode
from sinks.main import load
from sinks.positions import committed
from sinks.redeliveries import GROUP
from sinks.rules import Start
from sinks.settings import SinksSettings

T = TypeVar("T")

console = Console(highlight=False)


def show(kafka: KafkaSettings) -> None:
    """Print each target of the rules, whether it runs, and what waits for it.

    Raises NotReady when the rules or the cluster cannot be read.
    """
    rules = load(SinksSettings())
    topics = Topics(kafka.topic_prefix)
    table = Table(box=None, pad_edge=False)
    for title in ("target", "type", "workers", "waiting", "sent again"):
        table.add_column(title, justify="right" if title in ("workers", "waiting", "sent again") else "left")
    for target in rules.targets.values():
        running, waiting, again = _asked(kafka, _of(kafka, target.name, topics))
        cells = (
            target.name,
            target.type,
            running or "none",
            *("never ran" if n is None else n for n in (waiting, again)),
        )
        table.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else cell) for cell in cells))
    console.print(table)


def reset(kafka: KafkaSettings, target: str, start: Start, *, yes: bool) -> None:
    """Say where a target would go on, and with `yes` set it there.

    Raises NotReady while it runs.
    """
    topic = Topics(kafka.topic_prefix).enriched
    before = _asked(kafka, relocation.waiting(kafka, target, topic))
    console.print(f"{target}: {'it has no place yet' if before is None else f'{before:,} waiting'}.")
    if not yes:
        console.print(f"It would go on at: {start}. Nothing is done without --yes; what is skipped is told to nobody.")
        return
    _asked(kafka, relocation.reset(kafka, target, topic, start))
    console.print(f"It goes on at {start}: {_asked(kafka, relocation.waiting(kafka, target, topic)):,} waiting.")


def rename(kafka: KafkaSettings, old: str, new: str, *, leave: bool = False) -> None:
    """Let the new name go on where the old one stopped.

    What was sent again bears the old name, and only the old name would take it: NotReady while such records wait, unless
    they are to be left. The new name reads what is sent again from the first record kept, for some may bear it already.
    Raises NotReady also as `relocation.rename` does.
    """
    topics = Topics(kafka.topic_prefix)
    if not leave and (count := _asked(kafka, sent_again(kafka, old))):
        raise NotReady(
            f"{count:,} records that were sent again wait for {old} under its old name: let it take them first, or leave "
            "them to nobody with --leave."
        )
    _asked(kafka, relocation.rename(kafka, old, new, topics.enriched))
    _asked(kafka, relocation.forget(kafka, f"{old}.{GROUP}"))
    waiting = _asked(kafka, relocation.waiting(kafka, new, topics.enriched))
    console.print(
        f"{new} goes on where {old} stopped, {waiting:,} waiting. Name it so in the rules file, then start it. "
        f"Letters of {old} go to it with `tocsin dead-letters redrive --target {old} --to {new}`."
    )


def forget(kafka: KafkaSettings, target: str, *, yes: bool) -> None:
    """Say what a target that is no more leaves untold, and with `yes` delete its place in Kafka.

    Raises NotReady while it runs or the rules file has it.
    """
    if target in load(SinksSettings()).targets:
        raise NotReady(f"{target} is in the rules file: take it out first, else it begins anew where `start` says.")
    topics = Topics(kafka.topic_prefix)
    groups = {target: topics.enriched, f"{target}.{GROUP}": topics.redeliveries}
    left = [_asked(kafka, relocation.waiting(kafka, group, topic)) for group, topic in groups.items()]
    if all(count is None for count in left):
        raise NotReady(f"Kafka knows no target {target}: it never ran, or was forgotten already.")
    console.print(f"{target}: {sum(filter(None, left)):,} waiting, which nobody would be told.")
    if not yes:
        console.print("Nothing is done without --yes.")
        return
    for group in groups:
        if reason := _asked(kafka, relocation.forget(kafka, group)):
            raise NotReady(f"Kafka does not delete the group {kafka.group(group)} ({reason}).")
    console.print(f"{target} is forgotten, and late no more.")


async def sent_again(kafka: KafkaSettings, target: str) -> int:
    """Count the records sent again to a target that it has not taken yet.

    Raises NotReady.
    """
    async with reading(kafka) as reader:
        spans = await reader.spans(await reader.partitions(Topics(kafka.topic_prefix).redeliveries))
        places = {
            place: Place(offset, tuple(decode(offset, metadata.partition(" ")[2])))
            for place, (offset, metadata) in (await committed(kafka, f"{target}.{GROUP}", list(spans))).items()
        }
        left = {
            each: Span(max(span.start, places[each].base), span.end) if each in places else span
            for each, span in spans.items()
        }
        count = 0
        async for record in reader.records(left):
            place = places.get(TopicPartition(record.topic, record.partition))
            if as_text(record.headers).get("target") == target and not (place and place.has(record.offset)):
                count += 1
    return count


async def _of(kafka: KafkaSettings, target: str, topics: Topics) -> tuple[int, int | None, int | None]:
    return (
        await relocation.members(kafka, target),
        await relocation.waiting(kafka, target, topics.enriched),
        await relocation.waiting(kafka, f"{target}.{GROUP}", topics.redeliveries),
    )


def _asked(kafka: KafkaSettings, work: Coroutine[Any, Any, T]) -> T:
    with kafka_errors.told(kafka):
        return asyncio.run(work)
