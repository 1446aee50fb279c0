"""The example rules file of docs/rules.md at work: every rule, five receivers that behave as the real ones, one night."""

import asyncio
import contextlib
import functools
import importlib.util
import re
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from fastapi import FastAPI

from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sandbox import endpoints, receivers
from sandbox.endpoints import Endpoints
from sandbox.mailbox import Mailbox
from sandbox.receivers import TeamsReceiver
from sandbox.serving import serving
from sinks import rules_file, target
from sinks.connections import Connections
from sinks.main import supervise
from sinks.outlet import Outlet
from sinks.rules import Rules
from sinks.target import TargetRun
from tests.docs.snippets import snippets

pytestmark = pytest.mark.kafka

_spec = importlib.util.spec_from_file_location("sink_runner_site", Path(__file__).with_name("test_sink_runner.py"))
assert _spec
assert _spec.loader
site = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(site)

NIGHT, MORNING = datetime(2026, 7, 29, 1, 0, tzinfo=UTC), datetime(2026, 7, 29, 6, 1, tzinfo=UTC)


def event(event_id: str, kind: str = "alert", entity: str = "Elsewhere", urgency: int | None = None) -> EnrichedEvent:
    alert = {"uuid": f"u-{event_id}", "title": f"Title {event_id}", "entity": {"name": entity}}
    if urgency is not None:
        alert["urgency"] = {"current_value": urgency}
    return EnrichedEvent(
        event_id=event_id,
        received_at=NIGHT,
        event=WebhookEvent(type=kind, action="created", attributes={"uuid": f"u-{event_id}"}),
        alert=alert if kind == "alert" else None,
        enrichment=Enrichment(status="complete" if kind == "alert" else "not_applicable"),
    )


EVENTS = [
    event("lab", entity="Lab 7", urgency=95),
    event("urgent", urgency=90),
    event("finance", entity="Acme Finance - Lyon", urgency=30),
    event("finance-urgent", entity="Acme Finance - Nice", urgency=75),
    event("report", kind="content-proposal"),
    *(event(f"low{n}", urgency=20) for n in range(3)),
    event("nobody", kind="case"),
]


def names(content: object) -> str:
    text = orjson.dumps(content).decode()
    return " ".join(one.event_id for one in EVENTS if re.search(rf"Title {one.event_id}(?![\w-])", text))


class Places:
    """The receivers, and what each has shown."""

    def __init__(self) -> None:
        self.teams, self.others = TeamsReceiver(), Endpoints()
        self.app = FastAPI()
        self.app.include_router(receivers.routes(self.teams))
        self.app.include_router(endpoints.routes(self.others))

    def rules(self, base: str, smtp: int) -> Rules:
        """Read the page's file with these receivers' addresses; their mail server wants no login."""
        text = snippets("rules.md", "yaml")[0]
        for written, here in (
            ("server: smtp.example.org", f"server: 127.0.0.1\n    port: {smtp}\n    security: none"),
            ("    username: tocsin\n", ""),
            ('    password: "${SMTP_PASSWORD}"\n', ""),
        ):
            assert written in text
            text = text.replace(written, here)
        environment = {
            "TEAMS_WEBHOOK_URL": self.teams.url(base),
            "MATTERMOST_URL": f"{base}/mattermost/hooks/soc",
            "INTEL_URL": f"{base}/webhook",
            "INTEL_SECRET": endpoints.SECRET,
        }
        return rules_file.parse(text, "tocsin.yml", environment)

    def told(self, kind: str) -> list[str]:
        """Return of each message that a kind of receiver has shown which events it names."""
        return [names(one.content) for one in self.others.shown if one.kind == kind]

    def figures(self) -> dict[str, int]:
        """Count what was shown by kind."""
        kinds = [one.kind for one in self.others.shown]
        return {kind: kinds.count(kind) for kind in set(kinds)} | {"teams": len(self.teams.posts)}


def test_the_example_tells_whom_it_says_and_the_night_in_the_morning(kafka_settings, monkeypatch):
    monkeypatch.setenv("SINKS_ALLOW_NETWORKS", "127.0.0.1/32")
    now = [NIGHT]
    monkeypatch.setattr(target, "Outlet", functools.partial(Outlet, clock=lambda: now[0]))
    places = Places()

    async def until(figures: dict[str, int]) -> None:
        async with asyncio.timeout(60):
            while places.figures() != figures:
                await asyncio.sleep(0.1)

    async def scenario() -> None:
        await site.publish(kafka_settings, EVENTS)
        async with serving(places.app) as base, Mailbox(places.others).listening() as smtp:
            rules, connections, stop = places.rules(base, smtp), Connections(), asyncio.Event()
            runs = [TargetRun(kafka_settings, rules, one, "earliest", connections) for one in rules.targets.values()]
            task = asyncio.create_task(supervise(runs, stop))
            try:
                await until({"teams": 2, "mail": 2, "mattermost": 2, "webhook": 1})
                now[0] = MORNING
                await until({"teams": 3, "mail": 2, "mattermost": 2, "webhook": 1})
            finally:
                stop.set()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    asyncio.run(scenario())
    *alone, digest = (names(post.card) for post in places.teams.posts)
    assert set(alone) == {"urgent", "finance-urgent"}
    assert digest == "finance low0 low1 low2"
    assert set(places.told("mail")) == {"urgent", "finance-urgent"}
    assert set(places.told("mattermost")) == {"finance-urgent", "finance"}
    (report,) = (one.content for one in places.others.shown if one.kind == "webhook")
    assert report["data"]["event_id"] == "report"
