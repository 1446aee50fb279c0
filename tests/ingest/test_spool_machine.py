"""Everything that can happen to two workers, a spool and a broker, in any order."""

import asyncio
import importlib.util
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from ingest.switch import CLOSED

_spec = importlib.util.spec_from_file_location("one_host", Path(__file__).with_name("one_host.py"))
one_host = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(one_host)
Broker, Worker, event, until = one_host.Broker, one_host.Worker, one_host.event, one_host.until

ALERTS = [b"a", b"b", b"c"]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    one_host.impatient(monkeypatch)


class Host(RuleBasedStateMachine):
    """Every step is one thing that can happen; at the end the topic must hold what was answered, in order."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.broker = Broker()
        self.workers = [Worker(self.folder, self.broker) for _ in range(2)]
        for worker in self.workers:
            self.loop.run_until_complete(worker.start())
        self.answered: list[tuple[bytes, int]] = []
        self.number = 0

    @rule(worker=st.integers(0, 1), keys=st.lists(st.sampled_from(ALERTS), min_size=1, max_size=4))
    def post_one_after_the_other(self, worker, keys):
        for key in keys:
            self.number += 1
            self.loop.run_until_complete(self.workers[worker].publisher.publish(event(self.number, key)))
            self.answered.append((key, self.number))

    @rule()
    def post_at_once(self):
        async def together():
            numbers = [self.number + 1 + place for place in range(6)]
            await asyncio.gather(*(self.workers[n % 2].publisher.publish(event(n, b"%d" % n)) for n in numbers))

        self.loop.run_until_complete(together())
        self.answered += [(b"%d" % number, number) for number in range(self.number + 1, self.number + 7)]
        self.number += 6

    @rule()
    def away(self):
        self.broker.up = False

    @precondition(lambda self: not self.broker.up)
    @rule(lost=st.booleans(), backwards=st.booleans())
    def back(self, lost, backwards):
        self.loop.run_until_complete(self._within(lambda: self.broker.back(lost, backwards)))

    @rule(connected=st.booleans())
    def connected(self, connected):
        self.broker.connected = connected

    @rule(seconds=st.sampled_from([0, 0.002, 0.03]))
    def time_passes(self, seconds):
        self.loop.run_until_complete(asyncio.sleep(seconds))

    @rule(worker=st.integers(0, 1), killed=st.booleans())
    def restart(self, worker, killed):
        old = self.workers[worker]
        self.loop.run_until_complete(old.kill() if killed else old.stop())
        self.workers[worker] = Worker(self.folder, self.broker)
        self.loop.run_until_complete(self.workers[worker].start())

    async def _within(self, action):
        action()

    def teardown(self):
        try:
            self.loop.run_until_complete(self._end())
        finally:
            self.loop.close()
            shutil.rmtree(self.folder)
        firsts = list(dict.fromkeys((record.key, int(record.value)) for record in self.broker.topic))
        assert set(firsts) == set(self.answered)
        for alert in ALERTS:
            assert [first for first in firsts if first[0] == alert] == [
                each for each in self.answered if each[0] == alert
            ]

    async def _end(self):
        self.broker.connected = True
        self.broker.back(lost=False, backwards=False)
        await asyncio.sleep(0)
        await until(lambda: self.workers[0].switch.state == CLOSED)
        for worker in self.workers:
            await worker.stop()


TestHost = Host.TestCase
TestHost.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
