"""A real browser for the tests of the pages; where there is none, they are skipped and say what is missing."""

import os
import shutil
import time
from collections.abc import Iterator

import pytest

from tests.inbox.conftest import alert, event
from tests.inbox.site import Site

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: `make install` brings it; no browser tests."
)
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""
MARKS = [
    pytest.mark.skipif(
        not CHROMIUM, reason="Chromium is not installed (`apt-get install chromium`): no browser tests."
    ),
    # The driver's pipes are closed by its own process, after pytest looked.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
WAIT = 20_000


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    # No longer than the module: while Playwright runs, its event loop is the thread's, and other tests run their own.
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
    made = Site(tmp_path)
    made.take(*(event(n, at=n, of=alert(n, urgency={"current_value": n * 15})) for n in range(1, 7)))
    yield made
    made.close()


@pytest.fixture
def open_page(browser):
    """Open a page that fails the test when a script of ours does."""
    contexts, errors = [], []

    def opened(url, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: "Content Security Policy" in message.text and errors.append(message.text))
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def live(page):
    page.wait_for_selector("#pulse[data-state=live]")
    return page


def titles(page):
    return page.locator("#rows .row:not(.member) .title").all_inner_texts()


def until(page, condition):
    """Wait for a condition; Playwright's own way evaluates text inside the page, and our policy forbids that."""
    end = time.monotonic() + WAIT / 1000
    while not (condition() if callable(condition) else page.evaluate(condition)):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(30)


def wait_for(page, text):
    page.locator("#rows .title", has_text=text).first.wait_for()
