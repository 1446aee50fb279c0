"""A target whose address is gone for good: paused, said once, nothing buried, nothing sent, nothing lost."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from events.codec import encode
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sinks import main
from sinks.delivery import Delivery
from sinks.destination import Delivered, Gone, TargetSettings
from sinks.dispatch import Dispatch
from sinks.outlet import Outlet
from sinks.rules import Rule, Rules, Target
from sinks.window import Window


class LetGo(Exception):
    """The test has seen enough."""


class World:
    """A target that says 410 from its second event on, and a runner that lets go after some waiting."""

    named, at_once, marks_attempts = 3, 1, False

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.waits = self.receipts = 0
        rules = Rules(
            [Rule.model_validate({"name": "r", "match": "all", "notify": "t"})],
            {"t": Target("t", "x", TargetSettings())},
            "v",
        )
        self.outlet = Outlet("t", self)
        self.dispatch = Dispatch(Delivery(rules, self, self.outlet), self)

    async def deliver(self, event: EnrichedEvent) -> Delivered:
        self.sent.append(event.event_id)
        if event.event_id != "e0":
            raise Gone("HTTP 410")
        return Delivered("HTTP 200")

    async def pause(self, _seconds: float) -> None:
        self.waits += 1
        if self.waits % 3 == 0:
            raise LetGo

    async def confirm(self, _records, *, mark=False) -> None:
        pass

    async def write(self, _record, _receipt) -> None:
        self.receipts += 1

    async def bury(self, _record, _letter) -> None:
        raise AssertionError("it was buried")

    def holds(self, _record, _event_id, _revision, _job=None) -> bool:
        return False


def record(number: int) -> SimpleNamespace:
    event = EnrichedEvent(
        event_id=f"e{number}",
        received_at=datetime(2026, 7, 29, tzinfo=UTC),
        event=WebhookEvent(type="alert", action="created"),
        enrichment=Enrichment(status="complete"),
    )
    return SimpleNamespace(
        topic="t", partition=0, offset=number, timestamp=0, key=None, value=encode(event), headers=()
    )


async def steps(world: World, window: Window) -> None:
    while True:
        assert await world.dispatch.step(window) == []


def test_the_target_pauses_and_says_so_once():
    async def scenario() -> World:
        world = World()
        window = Window(10, 10**6)
        window.add(record(0), urgent=True)
        assert [one.handled for one in await world.dispatch.step(window)] == ["settled"]
        assert world.outlet.paused == ""
        for _ in range(3):  # partitions come and go; the record stays uncommitted
            window.clear()
            window.add(record(1), urgent=True)
            with pytest.raises(LetGo):
                await steps(world, window)
        return world

    with capture_logs() as logs:
        world = asyncio.run(scenario())
    assert world.sent == ["e0", "e1"], "a paused target was called again"
    assert world.receipts == 1
    assert [(line["event"], line["event_id"]) for line in logs] == [("target_paused", "e1")]
    assert world.outlet.paused == "HTTP 410"
    assert REGISTRY.get_sample_value("tocsin_sink_paused", {"target": "t"}) == 1
    run = SimpleNamespace(name="t", assigned=True, paused=world.outlet.paused, retry=None)
    assert main._health([run]) == (True, {"targets": {"t": True}, "paused": {"t": "HTTP 410"}})
