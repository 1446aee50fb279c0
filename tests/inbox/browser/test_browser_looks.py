"""What must be seen: that nothing is cut off or hidden at the widths people have, and the bar of every page."""

import pytest

from tests.inbox.browser.conftest import MARKS, live, until
from tests.inbox.conftest import alert, event

pytestmark = MARKS
TITLE = "Repeated sign-in failures followed by a success"


@pytest.mark.parametrize("width", [1280, 1440])
def test_browser_titles_and_what_happened_are_seen_beside_an_open_alert(site, open_page, width):
    site.take(event(50, at=50, of=alert(50, title=TITLE)))
    site.take(event(51, at=51, status="pending"))
    page = live(open_page(site.url, viewport={"width": width, "height": 800}))
    assert page.locator(".last", has_text="Details not available yet").is_visible()
    page.locator("#rows .title", has_text=TITLE).click()
    page.locator("#drawer h2").wait_for()
    assert page.locator(".last", has_text="Details not available yet").is_visible()
    wide = page.locator("#rows .title", has_text=TITLE).evaluate("(title) => [title.scrollWidth, title.clientWidth]")
    assert wide[0] <= wide[1]
    assert page.locator("#rows .mark").evaluate_all(
        "(all) => all.every((each) => each.scrollWidth <= each.clientWidth)"
    )
    for text in page.locator("#drawer time").all_inner_texts():
        assert text.endswith(" UTC")


def test_browser_unread_and_urgency_are_told_apart(site, open_page):
    page = live(open_page(site.url))
    site.take(
        event(1, action="updated", at=9), event(6, action="updated", at=10, of=alert(6, urgency={"current_value": 90}))
    )
    page.wait_for_selector("#row-6.unread")
    look = "(row) => [getComputedStyle(row, '::before').backgroundColor, getComputedStyle(row).backgroundColor]"
    urgent, low = (page.locator(f"#row-{number}").evaluate(look) for number in (6, 2))
    assert urgent[0] != low[0]
    assert urgent[1] != low[1]
    dot = "(row) => getComputedStyle(row.querySelector('.what'), '::before').content"
    assert page.locator("#row-6").evaluate(dot) != "none"
    page.click("#read-all")
    page.wait_for_selector("#row-6:not(.unread)")
    assert page.locator("#row-6").evaluate(dot) == "none"
    assert page.locator("#row-6").evaluate(look)[0] == urgent[0]


def test_browser_no_line_of_a_row_begins_with_a_dot(site, open_page):
    long = alert(9, entity={"name": "An entity with a name that takes the line"}, status={"name": ""})
    site.take(event(9, at=90, of=long))
    page = live(open_page(site.url, viewport={"width": 390, "height": 760}))
    seen = page.evaluate(
        """() => [...document.querySelectorAll('.meta')].map((meta) => {
          const left = meta.getBoundingClientRect().left + 16;
          const text = [...meta.children].filter((each) => each.offsetWidth);
          return text.every((each) => each.getBoundingClientRect().left >= left - 16.5) &&
            text.some((each) => Math.abs(each.getBoundingClientRect().left + 16 - left) < 1) &&
            getComputedStyle(meta).clipPath.includes('16px');
        })"""
    )
    assert seen
    assert all(seen)


def test_browser_empty_list_draws_nothing(open_page, site):
    page = live(open_page(site.url + "/?q=zzzz"))
    assert page.locator("#rows").is_hidden()


def test_browser_every_page_shows_the_pipeline_and_the_unread(site, open_page):
    page = live(open_page(site.url))
    page.wait_for_selector("#state[data-state=wrong]")  # nothing answers where the rooms should be
    site.take(event(1, action="updated", at=9))
    until(page, "!document.getElementById('unread').hidden")
    page.goto(site.url + "/pipeline")
    page.wait_for_selector("#state[data-state=wrong]")
    assert int(page.inner_text("#unread")) >= 1
