"""The page of messages and the mailbox: what is delivered is there, as text, and nothing in it can run."""

import asyncio
import re

import httpx
from fastapi import FastAPI

from sandbox import endpoints, gallery, messages, receivers
from sandbox.alert_api import create_app
from sandbox.endpoints import Endpoints
from sandbox.firewall import Firewall
from sandbox.mailbox import Mailbox
from sandbox.receivers import TeamsReceiver
from sandbox.serving import serving
from sandbox.tenant import Tenant
from sinks import shelf


def test_samples_reach_every_type_on_the_shelf_and_the_page():
    tenant, taken, teams, app = Tenant(7), Endpoints(), TeamsReceiver(), FastAPI()
    for router in (endpoints.routes(taken), messages.routes(taken), receivers.routes(teams)):
        app.include_router(router)
    events = gallery.samples(tenant)

    async def scenario() -> tuple[httpx.Response, list[dict], httpx.Response]:
        async with (
            serving(app) as base,
            serving(create_app(tenant, Firewall(seed=1))) as api,
            Mailbox(taken).listening() as mail_port,
        ):
            assert {*gallery.targets(base, mail_port, api), "log"} == set(shelf.types())
            await gallery.deliver(base, mail_port, api, events)
            async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
                found = (await client.get("/_sandbox/messages")).json()["messages"]
                seq = max(one["seq"] for one in found if one["kind"] == "mail")
                later = (await client.get(f"/_sandbox/messages?since={seq}")).json()["messages"]
                assert all(one["seq"] > seq for one in later)
                return await client.get("/messages"), found, await client.get(f"/_sandbox/mail/{seq}")

    page, found, mail = asyncio.run(scenario())
    kinds = {one["kind"] for one in found}
    assert kinds == {"mattermost", "slack", "telegram", "mail", "webhook", "ifttt"}
    assert all(sum(one["kind"] == kind for one in found) == len(events) for kind in kinds)
    assert len(teams.posts) == len(events)
    assert "Isolated FIN-WS-042" in mail.text
    assert "script-src" not in mail.headers["content-security-policy"]
    assert mail.headers["content-security-policy"].startswith("default-src 'none'")
    # Each kind has its own drawing, and none of them writes markup from a message.
    assert set(re.findall(r"^function (\w+)\(\{", page.text, re.MULTILINE)) == kinds
    assert "innerHTML" not in page.text
    nonce = re.search(r"script-src 'nonce-([^']+)'", page.headers["content-security-policy"])[1]
    assert page.text.count(f'nonce="{nonce}"') == 2
