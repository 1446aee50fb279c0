"""What is sent again to a target comes out whole, several events of one alert too."""

import asyncio
from types import SimpleNamespace

from sinks.redeliveries import PATIENCE, Redeliveries
from sinks.window import Window


class Delivery:
    """Takes everything, and notes it."""

    def __init__(self):
        self.told = []
        self.outlet = SimpleNamespace(
            clock=lambda: 0.0,
            wait=lambda urgent: 0.0,
            claim=lambda urgent: True,
            attempt=self.attempt,
            marks_attempts=False,
        )

    async def attempt(self, event):
        return event

    async def decode(self, record, _job):
        return record.offset

    def has_receipt(self, *_):
        return False

    async def settle(self, prepared, _result, _tries):
        self.told.append(prepared.event)


class Grip:
    """Lets time pass."""

    waited = 0.0

    async def pause(self, seconds):
        self.waited += seconds

    async def confirm(self, _records, *, mark):
        pass


def record(offset, key, target="soc"):
    headers = [("target", target.encode()), ("job-id", b"j")]
    return SimpleNamespace(offset=offset, partition=0, key=key, value=b"x", headers=headers, timestamp=0)


def run(*records, busy=False):
    delivery, grip, window = Delivery(), Grip(), Window(1000, 10**6)
    redeliveries = Redeliveries("soc", delivery, grip, "v", lambda: busy)
    for each in records:
        window.add(each, urgent=False)

    async def all_steps():
        found = []
        while ended := await redeliveries.step(window):
            found += [(each.record.offset, each.handled) for each in ended]
        return found

    return asyncio.run(all_steps()), delivery.told, grip.waited, window


def test_all_events_of_one_alert_come_in_order():
    ended, told, _, window = run(*(record(n, b"one" if n % 2 else b"two") for n in range(6)))
    assert ended == [(n, "settled") for n in range(6)]
    assert told == list(range(6))
    assert window.oldest is None


def test_those_of_others_are_passed_over():
    ended, told, waited, _ = run(record(0, b"k", "mail"), record(1, b"k"), record(2, b"k", "mail"), busy=True)
    assert ended == [(0, "unmatched"), (1, "settled"), (2, "unmatched")]
    assert (told, waited) == ([1], PATIENCE)
