"""What a page that stays open goes through: bursts that grow, breaks, other tabs, slow answers, alerts that ring."""

from events.records import Receipt
from inbox import links
from tests.inbox.browser.conftest import MARKS, live, titles, until, wait_for
from tests.inbox.conftest import alert, event
from tests.inbox.site import Site

pytestmark = MARKS


def test_browser_open_burst_stays_open_while_it_grows(site, open_page):
    noisy = {"rule": {"name": "Noisy"}, "title": "Noise"}
    site.take(*(event(n, at=40 + n, of=alert(n, **noisy)) for n in range(40, 44)))
    page = live(open_page(site.url))
    page.locator(".burst", has_text="4 alerts").click()
    until(page, "document.querySelectorAll('.row.member').length === 4")
    page.locator(".row.member .title").nth(2).focus()
    held = page.evaluate("document.activeElement.closest('.row').id")
    site.take(event(44, at=90, of=alert(44, **noisy)))
    until(page, "document.querySelectorAll('.row.member').length === 5")
    assert page.locator(".burst", has_text="5 alerts").get_attribute("aria-expanded") == "true"
    assert page.evaluate("document.activeElement.closest('.row').id") == held


def test_browser_open_alert_shows_receipts_as_they_come(site, open_page):
    site.take(event(9, at=9, event_id="nine"))
    page = live(open_page(site.url))
    page.locator("#rows .title", has_text="Alert 9").click()
    page.locator("#drawer .note", has_text="No receipt yet").wait_for()
    page.click("#drawer summary")
    page.focus("#drawer #close")
    site.deliver(Receipt(event_id="nine", target="soc-teams", outcome="delivered"))
    page.locator("#drawer .deliveries strong", has_text="soc-teams").wait_for()
    assert page.evaluate("document.activeElement.id") == "close"
    assert page.locator("#drawer details").first.get_attribute("open") is not None


def test_browser_learns_after_a_break_what_was_read_elsewhere(site, open_page, tmp_path):
    page = live(open_page(site.url))
    site.take(event(3, action="updated", at=30), event(4, action="updated", at=31))
    page.wait_for_selector("#row-3.unread")
    site.close()
    page.wait_for_selector("#pulse[data-state=away]")
    again = Site(tmp_path, site.port)
    try:
        other = page.context.request
        other.post(f"{site.url}/read", data={"thread": 3, "clock": 99, "read": True}, headers={"X-Tocsin": "page"})
        page.wait_for_selector("#row-3:not(.unread)")
        assert "Unread" not in page.locator("#row-3 .title").text_content()
        page.wait_for_selector("#row-4.unread")
    finally:
        site.close = again.close  # the fixture ends what runs now


def test_browser_learns_it_of_rows_loaded_with_show_older_too(site, open_page, tmp_path):
    page = live(open_page(site.url + "/?group=none"))
    site.take(*(event(1000 + n, at=100 + n) for n in range(120)))
    page.reload()
    live(page)
    while page.locator("#older").is_visible():
        rows = page.locator("#rows .row").count()
        page.click("#older")
        until(page, f"document.querySelectorAll('#rows .row').length > {rows}")
    thread = page.locator("#rows .row.unread").last.get_attribute("data-thread")
    assert page.locator("#rows .row").count() > rows
    site.close()
    page.wait_for_selector("#pulse[data-state=away]")
    again = Site(tmp_path, site.port)
    try:
        page.context.request.post(
            f"{site.url}/read", data={"thread": int(thread), "clock": 999, "read": True}, headers={"X-Tocsin": "page"}
        )
        page.wait_for_selector(f"#row-{thread}:not(.unread)", state="attached")
    finally:
        site.close = again.close  # the fixture ends what runs now


def test_browser_shows_the_last_search_when_an_earlier_answer_is_slow(site, open_page):
    page = live(open_page(site.url))
    held, answered = [], []
    page.route("**/rows?q=alert*1", lambda route: held.append(route))  # noqa: PLW0108 - Playwright notes things on it
    page.on("requestfinished", lambda request: "alert+1" in request.url and answered.append(request))
    page.fill("#find", "alert 1")
    until(page, lambda: held)
    page.fill("#find", "alert 5")
    until(page, "document.querySelectorAll('#rows .row').length === 1")
    for route in held:
        route.continue_()
    until(page, lambda: answered)
    page.wait_for_timeout(50)
    assert titles(page) == ["Alert 5"]


def test_browser_older_rows_stay_when_news_comes(site, open_page):
    site.take(*(event(n, at=n) for n in range(100, 460)))
    page = live(open_page(site.url))
    for pages in range(2, 9):
        page.click("#older")
        until(page, f"document.querySelectorAll('#rows .row').length >= {min(pages * 50, 366)}")
    site.take(event(900, at=900, of=alert(900, title="Just now")))
    wait_for(page, "Just now")
    assert len(titles(page)) == 366


def test_browser_says_when_nothing_can_come(site, open_page, monkeypatch):
    monkeypatch.setattr("inbox.live.HEARTBEAT", 0.05)
    page = live(open_page(site.url))
    site.trouble = "Kafka has not answered for a while"
    page.locator("#trouble", has_text="Kafka has not answered").wait_for()
    page.wait_for_selector("#pulse[data-state=silent]")
    site.trouble = None
    live(page)
    page.locator("#trouble").wait_for(state="hidden")


def test_browser_leaves_comes_back_to_its_view_and_is_let_in_without_asking(site, open_page):
    with site.inbox.database.writing() as connection:
        token = links.add(connection, "ada")
    page = open_page(f"{site.url}/enter#{token}")
    page.wait_for_url(site.url + "/")
    page.goto(site.url + "/enter")
    page.wait_for_url(site.url + "/")
    page.goto(site.url + "/?urgency=low")
    live(page)
    page.context.clear_cookies()
    page.click("#read-all")
    page.wait_for_url(site.url + "/enter")
    page.goto(f"{site.url}/enter#{token}")
    page.wait_for_url(site.url + "/?urgency=low")
    page.click("#leave")
    page.wait_for_url(site.url + "/enter")
    page.goto(site.url)
    assert page.url.endswith("/enter")


def test_browser_bell_answers_to_the_space_bar(site, open_page):
    page = live(open_page(site.url))
    page.focus("#bell")
    page.keyboard.press("Space")
    page.wait_for_selector("#bell[aria-pressed=true]")
    assert page.url.endswith("?state=unread")
