"""What a person sees: the pages in a real browser, over a running inbox."""

import pytest

from inbox import links
from tests.inbox.browser.conftest import MARKS, live, titles, until, wait_for
from tests.inbox.conftest import alert, event
from tests.inbox.site import Site

pytestmark = MARKS


def test_browser_shows_what_comes_and_counts_it(site, open_page):
    page = live(open_page(site.url))
    assert len(titles(page)) == 6
    site.take(event(7, at=7, of=alert(7, title="Just now")))
    wait_for(page, "Just now")
    assert "Just now" in titles(page)[0]
    until(page, "document.title.startsWith('(')")
    site.take(event(3, at=8, action="updated", given={"updated": {"similar": 9}}))
    page.locator("#rows .row:first-child .last", has_text="9 similar events").wait_for(state="attached")
    assert len(titles(page)) == 7


def test_browser_opens_an_alert_and_marks_it_read(site, open_page):
    page = live(open_page(site.url))
    site.take(event(6, type_="alert-comment", at=9, given={"content": "Looking at it"}))
    page.locator("#row-6 .last", has_text="Comment").wait_for(state="attached")
    page.click("#row-6 .title")
    page.locator("#drawer h2").wait_for()
    assert "open=6" in page.url
    assert "Looking at it" in page.inner_text("#drawer")
    page.wait_for_selector("#row-6:not(.unread)")
    page.click("#drawer [data-unread]")
    page.wait_for_selector("#row-6.unread")
    assert page.locator("#drawer").is_hidden()
    page.goto(site.url + "/?open=2")
    assert page.inner_text("#drawer h2") == "Alert 2"


def test_browser_resumes_after_the_server_restarts(site, open_page, tmp_path):
    page = live(open_page(site.url))
    site.close()
    page.wait_for_selector("#pulse[data-state=away]")
    again = Site(tmp_path, site.port)
    try:
        again.take(event(20, at=20, of=alert(20, title="While it was away")))
        wait_for(page, "While it was away")
        live(page)
        again.take(event(21, at=21, of=alert(21, title="After it came back")))
        wait_for(page, "After it came back")
        assert len(titles(page)) == 8
    finally:
        site.close = again.close  # the fixture ends what runs now


def test_browser_loads_anew_after_a_night(site, open_page):
    page = live(open_page(site.url))
    page.context.set_offline(True)
    page.evaluate("dispatchEvent(new Event('offline'))")
    site.take(*(event(n, at=n) for n in range(100, 2200)))
    page.context.set_offline(False)
    page.reload()
    live(page)
    assert len(titles(page)) == 50
    page.click("#older")
    until(page, "document.querySelectorAll('#rows .row').length === 100")
    numbers = [int(title.split()[-1]) for title in titles(page)]
    assert numbers == list(range(2199, 2099, -1))


def test_browser_keyboard(site, open_page):
    page = live(open_page(site.url))
    for key in "jjjk":
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.innerText") == titles(page)[1]
    page.keyboard.press("Enter")
    page.locator("#drawer h2").wait_for()
    page.keyboard.press("j")
    page.locator("#drawer h2", has_text="Alert 4").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("#drawer").is_hidden()
    assert page.evaluate("document.activeElement.innerText") == "Alert 4"
    page.keyboard.press("/")
    page.keyboard.type("alert 5")
    until(page, "document.querySelectorAll('#rows .row').length === 1")
    assert "q=alert" in page.url


def test_browser_filters_live_in_the_address(site, open_page):
    page = live(open_page(site.url))
    page.check(".level.u-urgent input", force=True)
    until(page, "document.querySelectorAll('#rows .row').length === 1")
    assert page.url.endswith("?urgency=urgent")
    live(page)
    site.take(event(30, at=30), event(31, at=31, of=alert(31, urgency={"current_value": 99}, title="Matches")))
    wait_for(page, "Matches")
    assert len(titles(page)) == 2
    page.reload()
    assert page.is_checked(".level.u-urgent input")
    page.go_back()
    until(page, "document.querySelectorAll('#rows .row').length === 8")


def test_browser_burst_opens_and_grows(site, open_page):
    noisy = {"rule": {"name": "Noisy"}, "title": "Noise"}
    site.take(*(event(n, at=40 + n, of=alert(n, **noisy)) for n in range(40, 44)))
    page = live(open_page(site.url))
    page.locator(".burst", has_text="4 alerts").click()
    until(page, "document.querySelectorAll('.row.member').length === 4")
    site.take(event(44, at=90, of=alert(44, **noisy)))
    page.locator(".burst", has_text="5 alerts").wait_for()
    assert len(titles(page)) == 7


def test_browser_marks_all_read_in_every_tab(site, open_page):
    first = live(open_page(site.url))
    site.take(event(50, at=50))
    second = live(first.context.new_page() if first.goto(site.url) is None else first)
    wait_for(second, "Alert 50")
    second.wait_for_selector(".row.unread")
    second.click("#read-all")
    until(second, "!document.querySelector('.row.unread') && !document.title.startsWith('(')")


def test_browser_runs_no_hostile_text(site, open_page):
    script = '"><script>window.hacked=1</script><img src=x onerror="window.hacked=1">\u202egnp.exe'
    texts = {"title": script, "details": script * 2000, "entity": {"name": script}, "rule": {"name": script}}
    page = live(open_page(site.url))
    site.take(event(60, at=60, of=alert(60, **texts, status={"name": script})))
    wait_for(page, "gnp.exe")
    page.click("#rows .row:first-child .title")
    page.locator("#drawer h2").wait_for()
    for summary in page.locator("#drawer summary").all():
        summary.click()
    assert page.evaluate("window.hacked") is None
    assert "\u202e" not in page.inner_text("body")
    assert "\\u202e" in page.inner_text("#drawer pre >> nth=1")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_browser_page_is_accessible(site, open_page, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    noisy = {"rule": {"name": "Noisy"}, "title": "Noise"}
    site.take(*(event(n, at=40 + n, of=alert(n, **noisy)) for n in range(40, 44)))
    page = live(open_page(site.url, viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True))
    found = {"list": axe.run(page)}
    page.locator("#rows .row .title").nth(2).click()
    page.locator("#drawer h2").wait_for()
    found["drawer"] = axe.run(page)
    page.goto(site.url + "/pipeline")
    found["pipeline"] = axe.run(page)
    problems = [
        (name, rule["id"], node["html"][:200], node["failureSummary"])
        for name, result in found.items()
        for rule in result.response["violations"]
        for node in rule["nodes"]
    ]
    assert problems == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_browser_enters_by_link_and_is_shut_out(site, open_page):
    with site.inbox.database.writing() as connection:
        token = links.add(connection, "ada")
    page = open_page(site.url)
    assert page.url.endswith("/enter")
    page.goto(f"{site.url}/enter#{token}")
    page.wait_for_url(site.url + "/")
    live(page)
    assert page.inner_text(".who") == "ada"
    with site.inbox.database.writing() as connection:
        links.revoke(connection, "ada")
        links.add(connection, "bob")
    page.reload()
    assert page.url.endswith("/enter")


def test_browser_gets_a_light_page(site, open_page):
    page = open_page("about:blank")
    sizes = []
    page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    page.goto(site.url)
    live(page)
    assert sum(sizes) < 150_000
    assert not [request for request in sizes if request < 0]
