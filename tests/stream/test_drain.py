"""What is fetched is handed over whole and in order, and never while offsets are being set."""

import asyncio
from collections import defaultdict
from types import SimpleNamespace
from weakref import WeakSet

import pytest
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP
from mode.utils.queues import FlowControlEvent

from stream.seek_safe import SeekSafeConsumer

LEFT, RIGHT = TP("raw", 0), TP("raw", 1)


def record(offset):
    return SimpleNamespace(offset=offset)


def made(kind=SeekSafeConsumer):
    """Return a consumer without a broker: what it fetches next is put into `fetched`."""
    consumer = object.__new__(kind)
    fetcher = SimpleNamespace(should_stop=False, started=True)
    consumer.app = SimpleNamespace(
        consumer_generation_id=7,
        client_only=False,
        should_stop=False,
        flow_control=FlowControlEvent(),
        _fetcher=fetcher,
    )
    consumer.app.flow_control.resume()
    consumer.can_resume_flow, consumer.suspend_flow = asyncio.Event(), asyncio.Event()
    consumer.not_waiting_next_records = asyncio.Event()
    consumer._stopped, consumer._crashed, consumer._shutdown = asyncio.Event(), asyncio.Event(), asyncio.Event()
    consumer._active_partitions, consumer._paused_partitions = {LEFT, RIGHT}, set()
    consumer._read_offset, consumer._acked = defaultdict(lambda: None), defaultdict(list)
    consumer._committed_offset, consumer._unacked_messages = defaultdict(lambda: None), WeakSet()
    consumer._waiting_for_ack, consumer._loop = None, asyncio.get_running_loop()
    consumer.source_queue = asyncio.Queue()
    consumer.fetched, consumer.sought = asyncio.Queue(), 0
    consumer.resume_flow()

    async def getmany(**_):
        return await consumer.fetched.get()

    async def seek_to_committed():
        consumer.sought += 1
        return {}

    consumer._getmany, consumer._thread = getmany, SimpleNamespace(seek_to_committed=seek_to_committed)
    return consumer


def scenario(steps):
    async def run():
        consumer = made()
        drain = asyncio.create_task(consumer._drain_messages(consumer.app._fetcher))
        try:
            return await asyncio.wait_for(steps(consumer), 20)
        finally:
            drain.cancel()
            await asyncio.wait([drain])
            if drain.done() and not drain.cancelled():
                drain.result()

    return asyncio.run(run())


def handed_over(consumer):
    found = []
    while not consumer.source_queue.empty():
        batch = consumer.source_queue.get_nowait()
        found.append((batch.tp, [each.offset for each in batch.records]))
    return found


async def turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_batch_is_handed_over_whole_although_its_partition_is_paused_meanwhile():
    async def steps(consumer):
        await turns()
        consumer.pause_partitions({LEFT})
        consumer.fetched.put_nowait({LEFT: [record(1), record(2)], RIGHT: [record(4)]})
        await turns()
        return handed_over(consumer)

    assert scenario(steps) == [(LEFT, [1, 2]), (RIGHT, [4])]


def test_what_was_read_before_is_not_handed_over_again():
    async def steps(consumer):
        consumer.fetched.put_nowait({LEFT: [record(5), record(6)]})
        consumer.fetched.put_nowait({LEFT: [record(6), record(8)]})
        await turns()
        return handed_over(consumer)

    assert scenario(steps) == [(LEFT, [5, 6]), (LEFT, [8])]


def test_what_was_fetched_while_offsets_are_set_is_dropped_and_sought_again():
    async def steps(consumer):
        await turns()
        seek = asyncio.create_task(consumer.perform_seek())
        await turns()
        assert not seek.done(), "it waits for the drain to be parked"
        consumer.fetched.put_nowait({LEFT: [record(1)]})
        await seek
        assert not handed_over(consumer)
        before = consumer.sought
        consumer.resume_flow()
        consumer.fetched.put_nowait({LEFT: [record(0)]})
        await asyncio.sleep(0.05)
        assert consumer.sought == before
        return handed_over(consumer)

    assert scenario(steps) == [(LEFT, [0])]


def test_a_suspended_flow_is_waited_for_and_a_seek_meanwhile_is_not_held_up():
    async def steps(consumer):
        consumer.app.flow_control.suspend()
        consumer.fetched.put_nowait({LEFT: [record(1)]})
        await turns()
        assert not handed_over(consumer)
        await consumer.perform_seek()
        consumer.app.flow_control.resume()
        consumer.resume_flow()
        consumer.fetched.put_nowait({LEFT: [record(0)]})
        await asyncio.sleep(0.05)
        return handed_over(consumer)

    assert scenario(steps) == [(LEFT, [0])]


def test_offsets_are_committed_as_far_as_they_are_finished():
    async def steps(consumer):
        consumer.fetched.put_nowait({LEFT: [record(3), record(5)], RIGHT: [record(9)]})
        await turns()
        for _ in range(2):
            consumer.track(consumer.source_queue.get_nowait())
        assert len(consumer._unacked_messages) == 2
        consumer.finished(LEFT, 3)
        assert consumer._new_offset(LEFT) == 4
        assert consumer._new_offset(LEFT) is None
        assert len(consumer._unacked_messages) == 2
        consumer.finished(LEFT, 5)
        assert consumer._new_offset(LEFT) == 6
        assert len(consumer._unacked_messages) == 1
        consumer.keep({LEFT})
        return len(consumer._unacked_messages)

    assert scenario(steps) == 0


@pytest.mark.parametrize(
    "name",
    [
        *("_drain_messages", "_wait_next_records", "_new_offset", "seek_to_committed", "perform_seek", "wait_first"),
        *("seek_wait", "stop_flow", "resume_flow", "_wait_for_ack", "wait_empty", "_clean_unacked_messages"),
    ],
)
def test_faust_still_has_what_is_overridden_or_called(name):
    assert callable(getattr(Consumer, name))
