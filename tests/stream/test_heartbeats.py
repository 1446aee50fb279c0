"""What a worker learns from its heartbeats; should another aiokafka or Faust be silent, this says so."""

import asyncio
import inspect

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from events.settings import KafkaSettings
from stream import app as stream_app
from stream import heartbeats
from stream.seek_safe import HeartbeatThread
from stream.settings import StreamSettings


class Coordinator:
    """Answers heartbeats as it is told."""

    def __init__(self, answers):
        self.answers = answers

    async def _do_heartbeat(self):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_only_a_heartbeat_that_is_answered_well_is_told_and_with_the_time_it_was_sent():
    heard, clock = [], iter(range(100))
    coordinator = Coordinator([True, False, OSError("gone"), True])
    heartbeats.listen(coordinator, heard.append, lambda: next(clock))

    async def scenario():
        assert await coordinator._do_heartbeat()
        assert not await coordinator._do_heartbeat()
        with pytest.raises(OSError, match="gone"):
            await coordinator._do_heartbeat()
        assert await coordinator._do_heartbeat()

    asyncio.run(scenario())
    assert heard == [0, 3]


def test_aiokafka_and_faust_are_as_we_know_them(tmp_path):
    assert "success = await self._do_heartbeat()" in inspect.getsource(GroupCoordinator._heartbeat_routine)
    assert inspect.getsource(GroupCoordinator._do_heartbeat).count("return True") == 2, "answered, and rebalancing"
    assert "self._consumer.start()" in inspect.getsource(AIOKafkaConsumerThread.on_start)

    async def scenario():
        kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1", partitions=4)
        thread = stream_app.build(kafka, StreamSettings(data=tmp_path)).consumer._thread
        thread.thread_loop.close()
        return type(thread)

    assert asyncio.run(scenario()) is HeartbeatThread
