"""The pictures of messages: samples go through the real destinations to the simulated receivers, and Chromium looks."""

import asyncio
import os
import shutil
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from events.records import EnrichedEvent, Enrichment, Links, WebhookEvent
from sandbox import endpoints, messages, receivers
from sandbox.alert_api import create_app
from sandbox.alert_gate import API_KEY
from sandbox.endpoints import Endpoints
from sandbox.firewall import Firewall
from sandbox.mailbox import Mailbox
from sandbox.receivers import TeamsReceiver
from sandbox.serving import serving
from sandbox.tenant import Tenant
from sinks import shelf

VIEW = {"width": 900, "height": 2000}
"""Tall, so that nothing has to be scrolled under the head of the page."""
REMARK = "False positive: the auditors' scanner. @channel please look at https://login.evil.example/?id=42 **now**"
ALERT = {"uuid": "3b0f6a52-7d1e-4c7a-9f0b-5a1f2f0c9d11", "short_id": "ALq7Zt3Kx9Pd"}


def targets(base: str, mail_port: int, api: str) -> dict[str, dict[str, Any]]:
    """Return the settings of one target per type that leads to the receivers at `base`."""
    return {
        "teams": {"url": f"{base}/teams/soc?sig=simulated"},
        "mattermost": {"url": f"{base}/mattermost/hooks/soc", "priority": "urgent"},
        "slack": {"url": f"{base}/slack/services/T/B/soc"},
        "telegram": {"token": endpoints.TOKEN, "chat": "-1001", "api": f"{base}/telegram"},
        "email": {
            "server": "127.0.0.1",
            "port": mail_port,
            "security": "none",
            "sender": "tocsin@soc.example",
            "to": ["analysts@soc.example"],
            "form": "enriched",
            "api": api,
            "api_key": API_KEY,
        },
        "webhook": {"url": f"{base}/webhook", "secrets": endpoints.SECRET},
        "ifttt": {"key": endpoints.KEY, "event": "soc_alert", "api": f"{base}/ifttt"},
    }


def samples(tenant: Tenant) -> list[EnrichedEvent]:
    """Return a comment, an alert that the Alert API could not yet tell of, and an urgent one with all there is."""
    quiet = tenant.create_alert(oddity="", urgency=35)
    waiting = tenant.create_alert(oddity="mentions", urgency=55)
    urgent = tenant.create_alert(oddity="", urgency=92, **ALERT)
    uuid = ALERT["uuid"]
    tenant.comment(uuid, "Seen on two hosts, both of finance.", author="Ada")
    tenant.comment(uuid, "Isolated FIN-WS-042. Who owns the mailbox? See https://portal.example/42", author="Bao")
    tenant.alerts[uuid]["countermeasures"] = [
        {"name": "Isolate the host", "status": "pending", "description": "By the EDR, for a day; tell the owner first."}
    ]
    comment = tenant.comment(quiet["attributes"]["uuid"], REMARK, author="Ada")
    pending = Enrichment(status="pending", reason="the Alert API is away")
    events = [enriched(tenant, comment), enriched(tenant, waiting, pending), enriched(tenant, urgent)]
    return [
        event.model_copy(update={"event_id": f"{n}f3c1a7e-0000-4000-8000-5d1b9c2e7a41"})
        for n, event in enumerate(events)
    ]


def enriched(tenant: Tenant, body: dict[str, Any], enrichment: Enrichment | None = None) -> EnrichedEvent:
    """Make the record the stream would make of a webhook body."""
    event = WebhookEvent.model_validate(body)
    alert = tenant.alert(event.alert_uuid or "")
    return EnrichedEvent(
        event_id="",
        received_at=datetime.now(UTC),
        event=event,
        alert=None if enrichment or not alert else alert,
        enrichment=enrichment or Enrichment(status="complete", fetched_at=datetime.now(UTC)),
        links=Links(alert=f"https://app.sekoia.io/operations/alerts/{event.short_id}"),
    )


async def deliver(base: str, mail_port: int, api: str, events: list[EnrichedEvent]) -> None:
    """Send each event to each target."""
    for type_, settings in targets(base, mail_port, api).items():
        found = shelf.find(type_)
        for event in events:
            # Opened anew each time: one that stays open looks no second alert up within seconds.
            async with found(found.Settings.model_validate(settings)) as destination:
                await destination.deliver(event)


async def take(chromium: str, folder: Path) -> None:
    """Take a picture of each client."""
    from playwright.async_api import async_playwright

    # The receivers are on this machine.
    os.environ["SINKS_ALLOW_NETWORKS"] = "127.0.0.1/32"
    tenant, taken, app = Tenant(7), Endpoints(), FastAPI()
    events = samples(tenant)
    for router in (endpoints.routes(taken), messages.routes(taken), receivers.routes(TeamsReceiver())):
        app.include_router(router)
    async with AsyncExitStack() as stack:
        base = await stack.enter_async_context(serving(app))
        api = await stack.enter_async_context(serving(create_app(tenant, Firewall(seed=1))))
        mail_port = await stack.enter_async_context(Mailbox(taken).listening())
        await deliver(base, mail_port, api, events)
        driver = await stack.enter_async_context(async_playwright())
        browser = await driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await browser.new_page(viewport=VIEW)  # type: ignore[arg-type]
        for kind in ("mattermost", "slack", "telegram", "mail", "webhook", "ifttt"):
            await page.goto(f"{base}/messages?panels#{kind}")
            await page.locator(f"section.{kind}").wait_for()
            await page.wait_for_timeout(700)
            part = f"section.{kind}" if kind != "webhook" else "article >> nth=0"
            await page.locator(part).screenshot(path=folder / f"message-{kind}.png")
            await page.goto("about:blank")
        await page.goto(base)
        await page.locator("article").first.wait_for()
        await page.wait_for_timeout(500)
        await page.locator("#posts").screenshot(path=folder / "message-teams.png")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(take(shutil.which("chromium") or "", Path(__file__).parents[1] / "docs" / "pictures"))
