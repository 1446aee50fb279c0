"""Who gets in, and what keeps a page safe: asked over HTTP, as browsers and attackers do."""

import ipaddress
import re
from collections.abc import Iterator

import httpx
import pytest

from events.errors import NotReady
from inbox import links
from inbox.rendering import asset
from inbox.settings import InboxSettings
from ops import inbox_users
from tests.inbox.conftest import alert, event
from tests.inbox.site import Site

OURS = {"X-Tocsin": "page"}


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
    made = Site(tmp_path)
    made.take(event(1))
    yield made
    made.close()


@pytest.fixture
def proxied(tmp_path) -> Iterator[Site]:
    made = Site(tmp_path, user_header="X-User", networks=(ipaddress.ip_network("127.0.0.0/8"),))
    yield made
    made.close()


def status(site, path="/", method="GET", **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.request(method, site.url + path, headers=names, json={} if method == "POST" else None).status_code


def test_this_machine_gets_in_and_nobody_through_it(site):
    assert status(site) == 200
    assert status(site, Host="localhost:1234") == 200
    assert status(site, Host="attacker.example") == 401
    assert status(site, Host="127.0.0.1.attacker.example") == 401
    for header in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
        assert status(site, **{header: "203.0.113.9"}) == 401
    assert status(site, X_User="admin", Host="x") == 401


def test_a_proxy_in_a_listed_network_names_the_user(proxied):
    assert status(proxied) == 401
    answer = httpx.get(proxied.url, headers={"X-User": "ada@example.com"})
    assert "ada@example.com" in answer.text
    assert httpx.get(proxied.url, headers=[("X-User", "ada"), ("X-User", "root")]).status_code == 401
    assert status(proxied, X_User="") == status(proxied, X_User="x" * 300) == 401


def test_a_header_from_elsewhere_is_ignored(tmp_path):
    site = Site(tmp_path, user_header="X-User", networks=(ipaddress.ip_network("10.0.0.0/8"),))
    assert status(site, X_User="ada") == 401
    site.close()


def test_personal_link_opens_is_stored_hashed_and_taken_back(site, tmp_path):
    with site.inbox.database.writing() as connection:
        token = links.add(connection, "ada")
    assert token not in "".join(map(str, (tmp_path / "inbox.db").read_bytes()))
    assert token.encode() not in (tmp_path / "inbox.db").read_bytes() + (tmp_path / "inbox.db-wal").read_bytes()
    assert status(site) == 401  # once there are links, being here is not enough
    with httpx.Client(base_url=site.url) as browser:
        assert browser.post("/enter", json={"token": "wrong"}, headers=OURS).status_code == 403
        cookie = browser.post("/enter", json={"token": token}, headers=OURS).headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        page = browser.get("/")
        assert ">ada<" in page.text
        assert token not in page.text
        with site.inbox.database.writing() as connection:
            links.revoke(connection, "ada")
            links.add(connection, "bob")
        assert browser.get("/").status_code == 401
    with pytest.raises(NotReady, match="already"), site.inbox.database.writing() as connection:
        links.add(connection, "bob")
    with pytest.raises(NotReady, match="Nobody"), site.inbox.database.writing() as connection:
        links.revoke(connection, "ada")
    with pytest.raises(NotReady, match="letters"), site.inbox.database.writing() as connection:
        links.add(connection, "a b")


def test_who_is_not_let_in_is_shown_the_door_and_nothing_else(proxied):
    for path in ("/", "/rows", "/live", "/threads/1", "/raw/1", "/pipeline", "/bursts/1"):
        assert status(proxied, path) == 401
    door = httpx.get(proxied.url, headers={"Accept": "text/html"}, follow_redirects=True)
    assert door.url.path == "/enter"
    assert "personal link" in door.text
    assert status(proxied, asset("inbox.css")) == 200


@pytest.mark.parametrize("path", ["/read", "/read-all", "/bursts/1/read", "/enter", "/leave"])
def test_another_site_cannot_change_anything(site, path):
    assert status(site, path, "POST") == 403
    assert status(site, path, "POST", X_Tocsin="page", Sec_Fetch_Site="cross-site") == 403
    assert status(site, path, "POST", X_Tocsin="page", Sec_Fetch_Site="same-site") == 403
    assert status(site, path, "POST", X_Tocsin="page", Sec_Fetch_Site="same-origin") in {204, 422}


@pytest.mark.parametrize("path", ["/", "/enter", "/rows", "/threads/1", "/raw/1", "/nowhere", asset("inbox.css")])
def test_every_answer_has_the_headers_that_keep_a_page_safe(site, path):
    answer = httpx.get(site.url + path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert ("immutable" in answer.headers["cache-control"]) == path.startswith("/assets")


def test_hostile_text_is_text(site):
    script = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'{{7*7}}"
    hostile = alert(2, title=script, entity={"name": script}, rule={"name": script}, status={"name": script})
    site.take(event(2, of=hostile, link="javascript:alert(1)"))
    site.take(event(3, of=alert(3, title="A" * 100_000, details="B" * 100_000)))
    for path in ("/?open=2", "/rows", "/threads/2"):
        text = httpx.get(site.url + path).text
        assert "<script>alert" not in text
        assert "<img" not in text
        assert "javascript:" not in text.replace('"javascript:alert', "")
    assert len(httpx.get(site.url).text) < 60_000
    assert len(httpx.get(site.url + "/threads/3").text) < 60_000
    assert httpx.get(site.url + "/?q=" + "%22%3E%3Cscript%3E").text.count("<script>") == 0


@pytest.mark.parametrize(
    "path", ["/rows?before=x", "/rows?before=99999999999999999999", "/threads/x", "/live?after=-1"]
)
def test_nonsense_is_refused_plainly(site, path):
    assert status(site, path) == 422


def test_a_burst_beyond_all_numbers_is_refused_plainly(site):
    assert status(site, f"/bursts/{1 << 70}/read", "POST", X_Tocsin="page") == 422


def test_unknown_assets_are_not_there(site):
    here = asset("")
    for name in ("../main.py", "%2e%2e%2fmain.py", "..%2f..%2fmain.py", "main.py", "none.css", "../../main.py"):
        assert status(site, here + name) in {401, 404}


def test_a_browser_keeps_only_modules_of_one_edition(site):
    page = httpx.get(site.url).text
    for name in ("inbox.js", "inbox.css", "theme.js"):
        assert asset(name) in page
    script = httpx.get(site.url + asset("inbox.js"))
    assert "immutable" in script.headers["cache-control"]
    imported = re.findall(r'from "([^"]+)"', script.text)
    assert imported
    assert all(name.startswith("./") for name in imported)  # so their addresses carry the edition too
    for path in ("/assets/rows.js", "/assets/0123456789ab/rows.js"):
        answer = httpx.get(site.url + path)
        assert answer.status_code == 404
        assert "immutable" not in answer.headers["cache-control"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"user_header": "X-User"}, "nobody is trusted"),
        ({"trusted_networks": "10.0.0.1/8"}, "host bits"),
    ],
)
def test_settings_that_let_the_wrong_ones_in_are_refused(settings, told):
    with pytest.raises(NotReady, match=told):
        InboxSettings(**settings).networks()


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("inbox", False)]
)
def test_local_is_loopback_only(host, local):
    assert InboxSettings(host=host).local() is local


def test_who_takes_back_the_last_link_is_told_what_that_opens(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("INBOX_DATABASE", str(tmp_path / "inbox.db"))
    for name in ("ada", "bob"):
        inbox_users.add(name, "")
    inbox_users.revoke("ada")
    assert "open without one" not in capsys.readouterr().out
    inbox_users.revoke("bob")
    assert "open without one" in capsys.readouterr().out
    inbox_users.add("ada", "")
    monkeypatch.setenv("INBOX_HOST", "0.0.0.0")
    inbox_users.revoke("ada")
    assert "open without one" not in capsys.readouterr().out
