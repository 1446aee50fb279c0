"""What rings on the desktop: every alert that is urgent, once, whatever a tab shows."""

from tests.inbox.browser.conftest import MARKS, live, until, wait_for
from tests.inbox.conftest import alert, event

pytestmark = MARKS
URGENT = {"urgency": {"current_value": 97}}
DESKTOP = (
    "() => { window.rang = []; window.Notification = class { static permission = 'granted'; "
    "static requestPermission = async () => 'granted'; constructor(title) { window.rang.push(title) } } }"
)


def listen_for_rings(page):
    page.evaluate(DESKTOP)
    live(page).click("#desktop")
    page.wait_for_selector("#desktop[aria-pressed=true]")
    # Of many tabs one rings; the browser says which a moment after the page was loaded.
    until(page, "navigator.locks.query().then((locks) => locks.held.length === 1)")
    return page


def rang(page):
    return page.evaluate("window.rang")


def test_browser_rings_for_an_alert_that_is_raised_and_updated_at_once(site, open_page):
    page = listen_for_rings(open_page(site.url, permissions=["notifications"]))
    told = alert(70, title="Ransom note", **URGENT)
    site.take(event(70, of=told), event(70, action="updated", at=1, of=told, given={"updated": {"similar": 2}}))
    until(page, "window.rang.length === 1")
    assert rang(page) == ["Ransom note"]


def test_browser_rings_for_one_that_a_flood_buries(site, open_page):
    page = listen_for_rings(open_page(site.url, permissions=["notifications"]))
    site.take(event(70, at=70, of=alert(70, title="At two", **URGENT)), *(event(n, at=n) for n in range(100, 160)))
    until(page, "window.rang.length === 1")
    site.take(event(71, at=71, of=alert(71, title="At three", **URGENT)), *(event(n, at=n) for n in range(1000, 3100)))
    wait_for(page, "Alert 3099")
    until(page, "window.rang.length === 2")
    assert rang(page) == ["At two", "At three"]


def test_browser_rings_in_a_tab_whose_filters_hide_the_alert(site, open_page):
    first = listen_for_rings(open_page(site.url + "/?community=other", permissions=["notifications"]))
    second = first.context.new_page()
    second.goto(site.url)
    second.evaluate(DESKTOP)
    live(second)
    site.take(event(70, at=70, of=alert(70, title="Ransom note", **URGENT)))
    wait_for(second, "Ransom note")
    until(first, "window.rang.length === 1")
    assert rang(second) == []


def test_browser_rings_for_what_comes_while_filters_change(site, open_page):
    page = listen_for_rings(open_page(site.url, permissions=["notifications"]))
    held = []
    page.route("**/rows?*", lambda route: held.append(route))  # noqa: PLW0108 - Playwright notes things on it
    page.fill("#find", "nothing of this")
    until(page, lambda: held)
    site.take(event(70, at=70, of=alert(70, title="Ransom note", **URGENT)))
    for route in held:
        route.continue_()
    until(page, "window.rang.length === 1")
    assert rang(page) == ["Ransom note"]


def test_browser_rings_when_details_make_it_urgent_and_not_for_comments(site, open_page):
    page = listen_for_rings(open_page(site.url, permissions=["notifications"]))
    site.take(event(70, event_id="late", status="pending"))
    until(page, "document.querySelectorAll('#rows .row').length === 7")
    site.take(event(70, event_id="late", revision=1, of=alert(70, title="Ransom note", **URGENT)))
    until(page, "window.rang.length === 1")
    site.take(event(70, type_="alert-comment", at=1, of=alert(70, title="Ransom note", **URGENT)))
    page.locator("#rows .row:first-child .last", has_text="Comment").wait_for(state="attached")
    site.take(event(71, at=2, of=alert(71, title="The next one", **URGENT)))
    until(page, "window.rang.length === 2")
    assert page.evaluate("window.rang") == ["Ransom note", "The next one"]


def test_browser_rings_once_for_a_night(site, open_page):
    page = listen_for_rings(open_page(site.url, permissions=["notifications"]))
    page.context.set_offline(True)
    site.take(*(event(n, at=n) for n in range(100, 2200)))
    site.take(*(event(n, at=n, of=alert(n, title=f"In the night {n}", **URGENT)) for n in range(2200, 2205)))
    page.context.set_offline(False)
    site.live.seen("local", {"threads": [], "read": True})
    page.evaluate("Date.now = () => new Date().getTime() + 12 * 3600e3")
    page.evaluate("dispatchEvent(new Event('online'))")
    wait_for(page, "In the night 2204")
    until(page, "window.rang.length === 1")
    assert page.evaluate("window.rang") == ["5 urgent alerts"]
