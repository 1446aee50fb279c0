"""Two workers, a spool and a broker that comes and goes: nothing answered is lost, no alert's events change places."""

import asyncio
import contextlib
import importlib.util
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ingest import spooled
from ingest.accept import RawRecord
from ingest.publisher import NotPublished
from ingest.switch import CLOSED, CLOSING, OPEN

_spec = importlib.util.spec_from_file_location("one_host", Path(__file__).with_name("one_host.py"))
one_host = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(one_host)
Broker, Worker, event, until = one_host.Broker, one_host.Worker, one_host.event, one_host.until


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    one_host.impatient(monkeypatch)


def run(scenario, tmp_path, workers=1, **options):
    """Run a scenario with so many workers of one host."""

    async def main():
        broker = Broker()
        started = [Worker(tmp_path, broker) for _ in range(workers)]
        for worker in started:
            await worker.start(**options)
        try:
            await scenario(broker, *started)
        finally:
            for worker in started:
                with contextlib.suppress(ValueError):  # stopped by the scenario
                    await worker.stop()
        return broker

    return asyncio.run(main())


def values(broker) -> list[int]:
    return [int(record.value) for record in broker.topic]


def test_while_kafka_takes_events_nothing_is_spooled(tmp_path):
    async def scenario(broker, worker):
        for number in range(5):
            await worker.publisher.publish(event(number))
        assert (worker.spooled, worker.switch.state) == (0, CLOSED)

    assert values(run(scenario, tmp_path)) == [0, 1, 2, 3, 4]


def test_while_it_is_away_they_are_and_come_in_order_afterwards(tmp_path):
    async def scenario(broker, one, two):
        broker.up = False
        for number in range(40):
            await (one, two)[number % 2].publisher.publish(event(number))
        assert one.spooled + two.spooled == 40
        assert {one.switch.state, two.switch.state} == {OPEN}
        broker.back(lost=True, backwards=False)
        await until(lambda: one.switch.state == CLOSED)
        await two.publisher.publish(event(40))
        assert two.spooled == 20

    with capture_logs() as logs:
        broker = run(scenario, tmp_path, workers=2)
    assert values(broker) == list(range(41))
    told = [entry["event"] for entry in logs]
    assert (told.count("spooling"), told.count("spool_drained")) == (2, 1)


def test_a_late_acknowledgement_takes_its_event_out_of_the_spool(tmp_path):
    async def scenario(broker, one):
        broker.up = False
        for number in range(3):
            await one.publisher.publish(event(number))
        broker.back(lost=False, backwards=False)
        await until(lambda: one.switch.state == CLOSED)

    assert values(run(scenario, tmp_path)) == [0, 1, 2]  # without a copy of 0


def test_it_goes_back_to_kafka_under_load(tmp_path):
    async def scenario(broker, one, two):
        broker.up = False
        numbers = iter(range(10**6))
        going = True

        async def post(worker):
            while going:
                await worker.publisher.publish(event(next(numbers)))

        posting = [asyncio.create_task(post(worker)) for worker in (one, two) for _ in range(8)]
        await until(lambda: one.spooled > 20)
        broker.back(lost=False, backwards=False)
        for _ in range(3):
            await until(lambda: one.switch.state == CLOSED)
            before = one.spooled + two.spooled
            count = len(broker.topic)
            await until(lambda: len(broker.topic) > count + 50)  # noqa: B023
            assert one.spooled + two.spooled < before + 50
        going = False
        await asyncio.gather(*posting)

    found = values(run(scenario, tmp_path, workers=2))
    assert set(found) == set(range(max(found) + 1))


def test_when_neither_takes_it_the_event_is_refused_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(spooled, "WITHIN", 0.05)

    async def scenario(broker, worker):
        broker.up = False
        worker.writer._queue.put = lambda operation: None  # a disk that hangs
        with pytest.raises(NotPublished, match="neither"):
            await worker.publisher.publish(event(1))
        del worker.writer._queue.put

    class Queue:
        """A queue whose `put` can be taken away."""

        def __init__(self, inner) -> None:
            self.get, self.empty, self.inner = inner.get, inner.empty, inner

        def put(self, operation) -> None:
            self.inner.put(operation)

    start = Worker.start

    async def started(self, **options):
        await start(self, **options)
        self.writer._queue = Queue(self.writer._queue)

    monkeypatch.setattr(Worker, "start", started)
    run(scenario, tmp_path)


def test_a_full_spool_refuses_and_takes_again_once_drained(tmp_path):
    async def scenario(broker, worker):
        broker.up = False
        refused = ""
        number = 0
        while not refused:
            number += 1
            try:
                await worker.publisher.publish(RawRecord(b"a", b"%d" % number + b" " * 200_000, []))
            except NotPublished as error:
                refused = str(error)
        assert refused == "the spool cannot be written (database or disk is full)"
        assert worker.writer.failing
        broker.back(lost=False, backwards=False)
        await until(lambda: worker.switch.state == CLOSED)
        broker.up = False
        await worker.publisher.publish(event(0))
        assert not worker.writer.failing

    with capture_logs() as logs:
        run(scenario, tmp_path)
    told = [entry["event"] for entry in logs if entry["event"].endswith("writable")]
    assert told == ["spool_not_writable", "spool_writable"]


def test_a_switch_left_closing_by_a_killed_worker_holds_nobody_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr(spooled, "HOLD", 0.01)

    async def scenario(broker, worker):
        worker.switch.state = CLOSING
        await worker.publisher.publish(event(1))
        assert worker.spooled == 1

    run(scenario, tmp_path, drains=False)


def test_removing_fails_and_nothing_is_sent_again(tmp_path):
    async def scenario(broker, worker):
        broker.up = False
        for number in range(4):
            await worker.publisher.publish(event(number))
        write, failed = worker.writer._spool.write, []

        def failing(entries, *, remove=(), settle=()):
            if remove and len(failed) < 5:
                failed.append(remove)
                raise __import__("sqlite3").OperationalError("database or disk is full")
            return write(entries, remove=remove, settle=settle)

        worker.writer._spool.write = failing
        broker.back(lost=True, backwards=False)
        await until(lambda: worker.switch.state == CLOSED)
        assert len(failed) == 5

    assert values(run(scenario, tmp_path)) == [0, 1, 2, 3]
