"""What `tocsin up` says once everything runs: where things are and what to try."""

import asyncio
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx

from sandbox import watch
from sandbox.arrangement import Arrangement
from sandbox.plan import SIMULATED_KEY, Layout
from sandbox.screen import Screen

FIRST_ALERT_WITHIN = 20
"""Attempts, a tenth of a second each."""


async def show(arrangement: Arrangement, layout: Layout, screen: Screen) -> None:
    """Say where things are."""
    screen.say()
    for note in arrangement.notes:
        screen.say(note, "bold")
    hook = layout.hook_url
    if arrangement.settings.ingest.hooks.get_secret_value() and not screen.console.is_terminal:
        hook = hook.rpartition("/")[0] + "/…"  # a person's own token stays out of what may be a log
    screen.item("hook", hook)
    screen.item("try it", _curl(hook, await _some_alert(layout) if arrangement.posts else "UUID-OF-AN-ALERT"))
    screen.item("inbox", f"{layout.inbox_url}/ is the page of all notifications")
    if arrangement.simulates:
        screen.item("receivers", f"{layout.receivers_url}/ shows the cards as people see them")
        screen.item(
            "messages",
            f"{layout.receivers_url}/messages shows chats and mails; mail server on port {layout.ports.mail}",
        )
    screen.item("archive", str(arrangement.settings.archive.store().name))
    screen.item("logs", str(layout.data / "logs"))
    screen.item("data", str(layout.data))
    if arrangement.embedded:
        # Another port where 9092 is taken: no other terminal can know it.
        screen.item(
            "ask it", f"KAFKA_BOOTSTRAP_SERVERS={layout.bootstrap} {_command()} why ALERT, in a second terminal"
        )
        screen.say(
            "This Kafka is for trying out, tests and small sites; "
            "to move to a cluster, set KAFKA_BOOTSTRAP_SERVERS and nothing else."
        )
    screen.say("Ctrl-C stops everything and keeps the data. Waiting for the first alert…")


def _curl(url: str, alert: str) -> str:
    """Write a command with a body of which the pipeline makes one card, however often it is posted."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = f'{{"type":"alert","action":"updated","attributes":{{"uuid":"{alert}"}},"metadata":{{"created_at":"{at}"}}}}'
    return f"curl -d '{body}' {url}"


async def _some_alert(layout: Layout) -> str:
    """Return an alert the simulated tenant has; it makes its first one at once."""
    headers = {"Authorization": f"Bearer {SIMULATED_KEY}"}
    async with watch.client() as http:
        for _ in range(FIRST_ALERT_WITHIN):
            try:
                answer = await http.get(f"{layout.tenant_url}/v1/sic/alerts", params={"limit": 1}, headers=headers)
                items = answer.json().get("items") if answer.is_success else None
            except (httpx.HTTPError, ValueError):
                items = None
            if items:
                return str(items[0]["uuid"])
            await asyncio.sleep(0.1)
    return "UUID-OF-AN-ALERT"


def _command() -> str:
    """Return how a shell of this user finds us: by name, or where `make` has put us."""
    return "tocsin" if shutil.which("tocsin") else str(Path(sys.executable).with_name("tocsin"))
