"""Spoil the evidence on purpose: an oracle that has never failed proves nothing."""

from collections import defaultdict
from dataclasses import replace
from random import Random

from events.errors import NotReady
from sandbox.evidence import Enriched, Evidence

KNOWN = ("drop", "double", "invent", "reorder")


def check(how: str) -> None:
    """Raise NotReady when there is no such sabotage."""
    if how and how not in KNOWN:
        raise NotReady(f"There is no sabotage {how!r}; known are {', '.join(KNOWN)}.")


def spoil(evidence: Evidence, how: str, random: Random) -> str:
    """Change one enriched record in the evidence and return what was done."""
    records = evidence.enriched
    victim = random.randrange(len(records))
    chosen = records[victim]
    if how == "drop":
        del records[victim]
    elif how == "double":
        records.append(replace(chosen, offset=chosen.offset + 1_000_000))
    elif how == "invent":
        event = chosen.event.model_copy(update={"event_id": "never-sent"})
        records.append(replace(chosen, offset=chosen.offset + 1_000_000, event=event))
    else:
        _swap(records, random)
    return f"sabotage: {how} {chosen.event.event_id}"


def _swap(records: list[Enriched], random: Random) -> None:
    """Exchange the offsets of two neighbours of one alert."""
    alerts: defaultdict[tuple[int, bytes | None], list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        if record.event.revision == 0:
            alerts[record.partition, record.key].append(index)
    first, second = random.choice([each for each in alerts.values() if len(each) > 1])[:2]
    one, other = records[first], records[second]
    records[first], records[second] = replace(one, offset=other.offset), replace(other, offset=one.offset)
