"""Why records are handed over in whole batches: stock Faust drops what is left of one when its partition is paused."""

import asyncio
from types import SimpleNamespace

from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP

LEFT, RIGHT = TP("raw", 0), TP("raw", 1)


class Scheduler:
    def iterate(self, records):
        return ((tp, record) for tp, found in records.items() for record in found)


def delivered_while_pausing(kind):
    """Deliver three records of each of two partitions, and pause the first one after its first record."""
    consumer = object.__new__(kind)
    consumer.app = SimpleNamespace(
        consumer_generation_id=1, client_only=False, monitor=SimpleNamespace(track_tp_end_offset=lambda *_: None)
    )
    consumer.scheduler = Scheduler()
    consumer.flow_active = True
    consumer.not_waiting_next_records = asyncio.Event()
    consumer._stopped = consumer._crashed = asyncio.Event()
    consumer._active_partitions, consumer._paused_partitions = {LEFT, RIGHT}, set()
    consumer._buffered_partitions = set()
    consumer._to_message = lambda _tp, record: record
    consumer.highwater = lambda _tp: 0

    async def fetched(**_):
        return {LEFT: [1, 2, 3], RIGHT: [4, 5, 6]}

    consumer._getmany = fetched

    async def read():
        found = []
        async for _, record in consumer.getmany(1.0):
            found.append(record)
            consumer.pause_partitions({LEFT})
        return found

    return asyncio.run(read()), consumer._active_partitions


def test_stock_faust_still_drops_it():
    """When this fails Faust has mended it, and ours can go."""
    found, _ = delivered_while_pausing(Consumer)
    assert found == [1, 4, 5, 6]
