"""Withheld webhooks are caught up, and once they come after all, each alert is still one."""

import asyncio
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest

from sandbox import evidence, pipeline
from sandbox.alert_gate import API_KEY
from sandbox.evidence import Evidence
from sandbox.lag import Lag
from sandbox.pipeline import Pipeline
from sandbox.plan import bare_environment

pytestmark = pytest.mark.kafka

WITHHELD, SENT = 100, 20
PATIENCE = 180.0
"""Seconds; two cores may be shared by many."""


def test_withheld_webhooks_that_come_late_make_no_second_alert(tmp_path: Path) -> None:
    asyncio.run(_late(tmp_path))


async def _late(folder: Path) -> None:
    async with pipeline.running(folder, seed=7, quirks=(), announce=lambda _: None, say=lambda _: None) as site:
        sent = [site.tenant.create_alert() for _ in range(SENT)]
        withheld = [site.tenant.create_alert() for _ in range(WITHHELD)]
        await _post(site, sent)
        assert "would feed created=100 states=0" in await _catch_up(site, folder, "--dry-run")
        assert "fed created=100 states=0" in await _catch_up(site, folder)
        await _settled(site, SENT + WITHHELD)
        assert "fed created=0 states=0" in await _catch_up(site, folder)
        await _post(site, withheld)
        marker = [site.tenant.create_alert() for _ in range(SENT)]  # once these are through, so is what was before
        await _post(site, marker)
        found = await _settled(site, SENT + WITHHELD + len(marker))
        shown = Counter(each.event.event.alert_uuid for each in found.enriched if each.event.revision == 0)
        assert shown == Counter(each["attributes"]["uuid"] for each in (*sent, *withheld, *marker))
        assert set(Counter(each.event_id for each in found.receipts).values()) == {1}
        assert site.firewall.stats.blocks == 0
        assert site.firewall.stats.max_requests_in_any_1s <= 5


async def _post(site: Pipeline, bodies: list[dict[str, object]]) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as client:
        for each in bodies:
            (await client.post(site.layout.hook_url, json=each)).raise_for_status()


async def _up_to_date(site: Pipeline) -> None:
    """Wait until the stream has committed what it has written: what it has not finished may be on its way."""
    async with asyncio.timeout(PATIENCE), Lag(site.kafka) as lag:
        while (await site.lag(lag))["stream"]:
            await asyncio.sleep(0.2)


async def _catch_up(site: Pipeline, folder: Path, *options: str) -> str:
    await _up_to_date(site)
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": site.kafka.bootstrap_servers,
        "SEKOIA_API_BASE": site.layout.tenant_url,
        "SEKOIA_API_KEY": API_KEY,
        "CATCH_UP_DELAY": "0s",
        "CATCH_UP_DATA": str(folder / "catch-up"),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "ops", "catch-up", "--since", "1h", *options),
        env=bare_environment() | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def _settled(site: Pipeline, count: int) -> Evidence:
    """Wait for so many enriched records, each with a receipt."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await evidence.from_topics(site.kafka)
            done = {each.event_id for each in found.receipts}
            ids = {each.event.event_id for each in found.enriched}
            if len(ids) >= count and ids <= done:
                return found
            await asyncio.sleep(0.5)
