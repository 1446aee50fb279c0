"""`make pictures`: take the pictures of the docs anew, of a whole pipeline that has run for a moment."""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

import httpx

from events.errors import NotReady
from sandbox import gallery, pipeline, plan
from sandbox.traffic import Traffic

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
DELIVERIES = 90
PACE = 0.15
"""Seconds between two webhooks: inside the Alert API's budget, so that no picture shows an event that waits."""
WIDE, PHONE = {"width": 1280, "height": 760}, {"width": 390, "height": 760}


async def main() -> None:
    """Run the pipeline, feed it, and take the pictures.

    Raises NotReady.
    """
    chromium = shutil.which("chromium")
    if not chromium:
        raise NotReady("Chromium is not installed: apt-get install chromium.")
    FOLDER.mkdir(exist_ok=True)
    await gallery.take(chromium, FOLDER)
    with tempfile.TemporaryDirectory(prefix="tocsin-pictures-", ignore_cleanup_errors=True) as folder:
        async with pipeline.running(Path(folder), seed=3, quirks=[], announce=print, say=print) as run:
            inbox = plan.inbox(run.layout)
            await run.supervisor.start(inbox, pipeline.healthy(inbox))
            await _feed(run)
            await asyncio.sleep(5)
            await _take(chromium, run.layout)


async def _feed(run: pipeline.Pipeline) -> None:
    traffic = Traffic(run.tenant, 5)
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(DELIVERIES):
            (await client.post(run.layout.hook_url, content=traffic.next().body)).raise_for_status()
            await asyncio.sleep(PACE)


async def _take(chromium: str, layout: plan.Layout) -> None:
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, path, scheme, size, drawer in (
            ("bell", "", "light", WIDE, True),
            ("bell-dark", "?urgency=urgent&urgency=major", "dark", WIDE, False),
            ("bell-phone", "", "light", PHONE, False),
            ("pipeline", "pipeline", "light", WIDE, False),
        ):
            context = await browser.new_context(color_scheme=scheme, viewport=size)  # type: ignore[arg-type]
            page = await context.new_page()
            await page.goto(f"{layout.inbox_url}/{path}")
            await page.wait_for_timeout(1500)
            if drawer:
                await page.locator("#rows .row[data-members='1']:not(.u-unknown) .title").first.click()
                await page.locator("#drawer:visible").wait_for()
                await page.wait_for_timeout(500)
            await page.screenshot(path=FOLDER / f"{name}.png")
            await context.close()
        page = await browser.new_page(viewport=WIDE)  # type: ignore[arg-type]
        await page.goto(layout.receivers_url)
        await page.wait_for_timeout(1500)
        await page.screenshot(path=FOLDER / "cards.png")
        await browser.close()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except NotReady as error:
        sys.exit(f"pictures: {error}")
