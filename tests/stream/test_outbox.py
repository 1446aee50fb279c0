"""A partition's transactions follow one another with a breath in between."""

import asyncio
import importlib.util
from pathlib import Path

import pytest

from stream.outbox import APART, Outbox, Output

_spec = importlib.util.spec_from_file_location("virtual_time", Path(__file__).with_name("virtual_time.py"))
virtual_time = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(virtual_time)


class Producer:
    """Notes when each transaction begins; one takes 5 ms."""

    def __init__(self):
        self.begun = []

    async def begin_transaction(self):
        self.begun.append(asyncio.get_running_loop().time())

    async def commit_transaction(self):
        await asyncio.sleep(0.005)


def test_a_transaction_waits_until_the_markers_of_the_one_before_are_written():
    async def scenario():
        outbox = Outbox(0, "x", {})
        outbox._producer = producer = Producer()
        outbox._send = sent
        for pause in (0.0, 0.0, 1.0):
            await asyncio.sleep(pause)
            await outbox.write(lambda: [Output("t", b"k", b"v", ())])
        first, second, third = producer.begun
        assert first == 0
        assert second - first == pytest.approx(0.005 + APART)
        assert third - second == pytest.approx(1.005), "after a rest it begins at once"

    async def sent(_producer, outputs):
        return list(range(len(outputs)))

    virtual_time.run(scenario())
