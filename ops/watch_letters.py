"""The letters buried since the last look; what redrive and drop write beside them into their topic is none."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from aiokafka.errors import KafkaError

from events.headers import as_text
from ops.scan import Reader, Span
from sinks.text import clean

WITHIN = 4.0
"""Seconds to read what is new; the rest is read at the next look."""

MOST = 1_000
"""Letters taken in one look."""

NAMED = 3
"""Causes that are named in a message."""

Places = Mapping[int, int]
"""By partition, the offset before which everything has been looked at."""


@dataclass(frozen=True)
class Letters:
    """What one look found."""

    places: Places
    new: Sequence[str] = ()
    """Of each letter since the last look, who buried it and why."""

    def __str__(self) -> str:
        """Name the most frequent causes with their numbers."""
        causes = Counter(self.new).most_common()
        named = [f"{count:,} by {cause}" for cause, count in causes[:NAMED]]
        return ", ".join([*named, "others"] if len(causes) > NAMED else named)


async def read(reader: Reader, topic: str, places: Places) -> Letters:
    """Read from the places of the look before on; the first look, which has none, finds nothing new.

    Raises KafkaError when the cluster does not say what there is.
    """
    spans = await reader.spans(await reader.partitions(topic))
    ends = {each.partition: span.end for each, span in spans.items()}
    if not places:
        return Letters(ends)
    left = {each: Span(_start(span, places.get(each.partition, 0)), span.end) for each, span in spans.items()}
    at = {each.partition: span.start for each, span in left.items()}
    new: list[str] = []
    try:
        async with asyncio.timeout(WITHIN), aclosing(reader.records(left)) as records:
            async for record in records:
                at[record.partition] = record.offset + 1
                if cause := cause_of(as_text(record.headers)):
                    new.append(cause)
                if len(new) == MOST:
                    return Letters(at, new)
    except (KafkaError, TimeoutError):
        return Letters(at, new)
    return Letters(ends, new)


def _start(span: Span, place: int) -> int:
    """Go on at the place, or where the topic has something: of one made anew what came before this look is not told."""
    return min(max(place, span.start), span.end)


def cause_of(headers: Mapping[str, str]) -> str:
    """Say who buried a letter and why; nothing for a record that is no letter."""
    if "stage" not in headers:
        return ""
    where = " ".join(filter(None, (clean(headers["stage"], 60), clean(headers.get("target"), 100))))
    return f"{where or 'nobody'} ({clean(headers.get('reason'), 100) or 'no reason given'})"
