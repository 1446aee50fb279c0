"""Ways through the page: marks, empty views, back, and the door after a session ended."""

import httpx

from tests.inbox.browser.conftest import MARKS, live, titles, until
from tests.inbox.conftest import alert, event

pytestmark = MARKS


def test_browser_burst_is_read_when_its_members_are(site, open_page):
    httpx.get(site.url)
    noisy = {"rule": {"name": "Noisy"}, "title": "Noise"}
    site.take(*(event(n, at=40 + n, of=alert(n, **noisy)) for n in (40, 41)))
    page = live(open_page(site.url))
    page.locator(".burst", has_text="2 alerts").click()
    until(page, "document.querySelectorAll('.row.member').length === 2")
    for number in (0, 1):
        page.locator(".row.member .title").nth(number).click()
        page.locator(".row.member").nth(number).and_(page.locator(":not(.unread)")).wait_for()
    page.wait_for_selector("#rows > .row:first-child:not(.unread)")
    page.locator(".row.member .title").first.focus()
    page.keyboard.press("u")
    page.wait_for_selector("#rows > .row:first-child.unread")


def test_browser_burst_opens_with_the_alert_its_colour_is_about(site, open_page):
    httpx.get(site.url)
    levels = {40: 45, 41: 95, 42: 20}
    noisy = {n: alert(n, rule={"name": "Noisy"}, urgency={"current_value": level}) for n, level in levels.items()}
    site.take(*(event(n, at=40 + n, of=of) for n, of in noisy.items()))
    page = live(open_page(site.url))
    page.click("#rows > .row.u-urgent:first-child .title")
    page.locator("#drawer h2", has_text="Alert 41").wait_for()
    assert page.locator("#drawer article.u-urgent").count() == 1
    until(page, "document.querySelectorAll('.row.member').length === 3")
    page.locator(".row.member:not(.unread)", has_text="Alert 41").wait_for()
    assert page.locator(".row.member.unread").count() == 2
    assert page.locator(".row.current .title").all_inner_texts() == ["Alert 41"]


def test_browser_a_state_leads_to_its_entry_of_the_runbook(site, open_page):
    page = open_page(site.url + "/pipeline")
    assert not page.is_visible("#tocsinroomdown p")
    page.locator(".room a").first.click()
    page.locator("#tocsinroomdown p").first.wait_for()
    page.locator(
        '#tocsinspoolinuse a, #tocsinsilence a, #tocsinurgentlatefast a[href="#tocsinspoolold"]'
    ).first.evaluate("link => link.click()")
    assert "#tocsin" in page.url


def test_browser_open_alert_that_the_filters_hide_stays_current(site, open_page):
    page = live(open_page(site.url + "/?urgency=urgent&open=1"))
    site.take(event(1, type_="alert-comment", at=30, of=alert(1), given={"content": "Mine."}))
    page.locator("#drawer blockquote", has_text="Mine.").wait_for()


def test_browser_marks_only_what_a_view_shows(site, open_page):
    httpx.get(site.url)
    site.take(*(event(n, action="updated", at=20 + n, of=alert(n, urgency={"current_value": n * 15})) for n in (1, 6)))
    page = live(open_page(site.url))
    assert page.inner_text("#read-all") == "Mark all read"
    page.check(".level.u-low input", force=True)
    until(page, "document.querySelectorAll('#rows .row').length === 1")
    assert page.inner_text("#read-all") == "Mark matching read"
    page.click("#read-all")
    page.wait_for_selector("#row-1:not(.unread)")
    page.goto(site.url)
    assert page.locator("#rows .row.unread .title").all_text_contents() == ["Unread. Alert 6"]


def test_browser_says_when_nothing_matches_and_offers_the_way_out(site, open_page):
    page = live(open_page(site.url))
    page.fill("#find", "zzzz")
    page.locator("#empty", has_text="Nothing matches").wait_for()
    assert "All quiet" not in page.inner_text("#empty")
    page.click("#empty a")
    page.wait_for_url(site.url + "/")
    assert len(titles(live(page))) == 6


def test_browser_back_closes_the_alert_and_keeps_the_view(site, open_page):
    page = live(open_page(site.url, viewport={"width": 390, "height": 800}))
    page.goto(site.url + "/?q=alert")
    live(page).locator("#rows .title").first.click()
    page.locator("#drawer h2").wait_for()
    page.go_back()
    page.locator("#drawer").wait_for(state="hidden")
    assert page.url == site.url + "/?q=alert"
    page.go_forward()
    page.locator("#drawer h2").wait_for()
    page.keyboard.press("Escape")
    page.locator("#drawer").wait_for(state="hidden")
    page.wait_for_url(site.url + "/?q=alert")
    page.go_back()
    page.wait_for_url(site.url + "/")


def test_browser_goes_to_the_door_when_the_session_ended_meanwhile(site, open_page):
    page = live(open_page(site.url + "/?q=alert"))
    gone = {"**/live*": "/signed-out", "**/rows*": "https://sso.example/login"}
    for path, there in gone.items():
        page.route(path, lambda route, there=there: route.fulfill(status=302, headers={"Location": there}))
    page.evaluate("Date.now = () => new Date().getTime() + 12 * 3600e3")
    with page.expect_request(site.url + "/enter"):
        page.evaluate("dispatchEvent(new Event('online'))")
    page.unroute_all()
    page.wait_for_url(site.url + "/?q=alert")
    live(page)
