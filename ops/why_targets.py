"""What every target did with the events of one alert: by its receipts, by today's rules, and by what it is trying now."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from aiokafka import TopicPartition

from events.settings import KafkaSettings
from events.topics import Topics
from ops import life
from ops.life import Event, Revision
from ops.life_material import Material
from ops.life_targets import Place, Slip, Told, from_receipts, retried, without_receipt
from ops.retries import retrying
from sinks.finished import decode
from sinks.positions import committed
from sinks.rules import Rules

ByEvent = dict[str, list[Told]]


async def told(kafka: KafkaSettings, events: Iterable[Event], material: Material, rules: Rules | None) -> ByEvent:
    """Return what each target of the rules, and each that has a receipt, did with each event."""
    slips: dict[tuple[str, int], list[Slip]] = defaultdict(list)
    for record in material.receipts:
        if one := life.receipt(record.value):
            slips[one.event_id, one.revision].append(Slip(one, datetime.fromtimestamp(record.timestamp / 1000, UTC)))
    names = list(rules.targets) if rules else []
    names += sorted({slip.receipt.target for each in slips.values() for slip in each} - set(names))
    enriched = TopicPartition(Topics(kafka.topic_prefix).enriched, material.partition)
    found_at = await asyncio.gather(*(place_of(kafka, name, enriched) for name in names))
    places = dict(zip(names, found_at, strict=True))
    return {
        event.event_id: [
            each
            for one in event.revisions
            for name in names
            for each in _told(
                name, one, slips[event.event_id, one.revision], rules, places[name], whole=material.receipts_whole
            )
        ]
        for event in events
    }


async def retries(found: ByEvent, rooms: Collection[str]) -> None:
    """Ask the sinks what they are trying again, where something waits."""
    waiting = [(event_id, each) for event_id, all_ in found.items() for each in all_ if each.state == "waiting"]
    if not waiting:
        return
    from ops import private_ports  # an HTTP client is loaded only where somebody is asked

    trying = retrying(await private_ports.health(rooms))
    for event_id, each in waiting:
        if each.target in trying:
            retried(each, event_id, trying[each.target])


async def place_of(kafka: KafkaSettings, group: str, partition: TopicPartition) -> Place | None:
    """Return how far a group has come; None where it has no place."""
    known = await committed(kafka, group, [partition])
    if partition not in known:
        return None
    offset, metadata = known[partition]
    return Place(offset, tuple(decode(offset, metadata.partition(" ")[2])))


def _told(
    name: str, one: Revision, slips: Iterable[Slip], rules: Rules | None, place: Place | None, *, whole: bool
) -> list[Told]:
    jobs: dict[str | None, list[Slip]] = defaultdict(list)
    for slip in slips:
        if slip.receipt.target == name:
            jobs[slip.receipt.replay_id].append(slip)
    found = [from_receipts(name, one.revision, job, each) for job, each in jobs.items()]
    if None not in jobs:
        waits = max(0, one.offset - place.base) if place else None
        found.insert(0, without_receipt(name, one.event, one.offset, rules, place, waits=waits, whole=whole))
    return found
