"""Canaries: what proves that a target shows what it accepts, by whom, and for how long."""

import asyncio
import errno
import re
import ssl
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from events.errors import NotReady
from ops import canary, canary_cli, canary_page, canary_read_back
from ops.canary_record import Record, complaint, due, state
from sandbox import plan, receivers
from sandbox.quirks import Quirks
from sandbox.receivers import TeamsReceiver
from sandbox.serving import serving
from sinks import rules_file
from sinks.proof import Canary
from sinks.responses import Answer

HUMAN = Canary(proof="human")
DAY = 86_400.0
RULES = """\
targets:
  soc-teams: {{type: teams, url: "{base}/teams/soc?sig=simulated", canary: {{proof: human, every: 7d}}}}
  screen: {{type: log}}
rules: [{{name: all, match: all, notify: [soc-teams, screen]}}]
"""


@pytest.mark.parametrize(
    ("record", "now", "found", "told"),
    [
        (Record(), 0.0, "overdue", False),
        (Record(sent_at=0.0, first_at=0.0, code="x"), 0.9 * DAY, "overdue", False),  # people get a day to answer
        (Record(sent_at=0.0, first_at=0.0, code="x"), 1.1 * DAY, "overdue", True),
        (Record(sent_at=0.0, proved_at=1.0), 7.9 * DAY, "proved", False),
        (Record(sent_at=7 * DAY, first_at=7 * DAY, proved_at=0.0, code="x"), 7.9 * DAY, "proved", False),
        (Record(sent_at=7 * DAY, first_at=7 * DAY, proved_at=0.0, code="x"), 8.1 * DAY, "overdue", True),
        (Record(tried_at=0.0, trouble="it was not accepted: HTTP 404"), 1.0, "overdue", True),
    ],
)
def test_a_persons_word_counts_for_a_while(record, now, found, told):
    assert state(HUMAN, record, now) == found
    assert bool(complaint(HUMAN, record, now)) is told


@given(st.lists(st.tuples(st.floats(0.0, 20 * DAY), st.sampled_from(["send", "confirm", "refuse"])), max_size=20))
def test_nothing_is_proved_that_nobody_confirmed_within_the_period(steps):
    record, now, confirmed = Record(), 0.0, None
    for gap, what in steps:
        now += gap
        if what == "send":
            record = record.sent(now, "code")
        elif what == "confirm" and record.fits("code"):
            record, confirmed = record.proved(now), now
        elif what == "refuse":
            record = record.failed(now, "away")
        proved = state(HUMAN, record, now) == "proved"
        assert proved == (confirmed is not None and now - confirmed < 8 * DAY)
        assert not (proved and what != "refuse" and complaint(HUMAN, record, now))


def test_a_code_counts_once_and_an_older_one_never():
    record = Record().sent(1.0, "first").sent(2.0, "second")
    assert [record.fits(code) for code in ("first", "second", "")] == [False, True, False]
    assert not record.proved(3.0).fits("second")
    assert "second" not in repr(record)


def test_the_next_one_is_due_after_the_period_and_sooner_after_a_failure():
    assert due(HUMAN, Record(), 0.0)
    assert not due(HUMAN, Record(tried_at=0.0), 6.9 * DAY)
    assert due(HUMAN, Record(tried_at=0.0), 7 * DAY)
    assert due(HUMAN, Record(tried_at=0.0, trouble="x"), 0.3 * DAY)
    assert not due(Canary(), Record(), 0.0)


def against_teams(folder, quirks, *arguments, after=None):
    """Run the command against a simulated Teams channel; return its exit code, what it printed, and the channel."""
    teams = TeamsReceiver(quirks=Quirks.parse(quirks))

    async def run():
        async with serving(receivers.create_app(teams)) as base:
            (folder / "tocsin.yml").write_text(RULES.format(base=base))
            found = await asyncio.to_thread(
                subprocess.run, [sys.executable, "-m", "ops", "canary", *arguments], cwd=folder, text=True,
                capture_output=True, check=False,
            )  # fmt: skip
            if after:
                found = await asyncio.to_thread(after, teams)
            return found

    return asyncio.run(run()), teams


def test_a_teams_that_accepts_and_drops_is_overdue(tmp_path):
    done, teams = against_teams(tmp_path, ["accept-and-drop"])
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert "soc-teams proof=human overdue" in lines
    assert "screen proof=accepted_only not proved" in lines
    assert [post.status for post in teams.posts] == [202]


def test_a_person_who_sees_it_confirms_it_by_its_code(tmp_path):
    def confirm(teams):
        text = str(teams.posts[0].card)
        (code,) = re.findall(r"--confirm (\S+?)['\"]", text.replace("\\\\", ""))
        again = [sys.executable, "-m", "ops", "canary"]
        options = {"cwd": tmp_path, "text": True, "capture_output": True}
        return [
            subprocess.run([*again, "--confirm", code.replace("\\", "")], check=False, **options),
            subprocess.run(again, check=False, **options),
        ]

    (confirmed, shown), teams = against_teams(tmp_path, [], after=confirm)
    assert confirmed.stdout == "soc-teams is confirmed.\n"
    assert shown.returncode == 0
    assert "soc-teams proof=human proved" in shown.stdout.splitlines()
    assert len(teams.posts) == 1  # none is due
    assert all("--confirm" not in path.read_text() for path in (tmp_path / "data").rglob("*.json"))


def test_a_code_that_is_none_is_said(tmp_path, monkeypatch):
    (tmp_path / "tocsin.yml").write_text(RULES.format(base="http://127.0.0.1:9"))
    with pytest.raises(NotReady, match="No canary has this code"):
        canary_cli.confirm("abc")


def test_opening_the_link_proves_nothing_and_the_button_does(tmp_path):
    Record().sent(time.time(), "c0de").save(tmp_path, "soc-teams")
    app = canary_page.create_page(tmp_path, lambda: ["soc-teams"])

    def ask(method, path):
        async def run():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://page") as http:
                return await http.request(method, path)

        return asyncio.run(run())

    for path in ("/soc-teams/c0de", "/behind/a/proxy/soc-teams/c0de"):
        shown = ask("GET", path)
        assert shown.status_code == 200
        assert "<button>" in shown.text
        assert "form-action 'self'" in shown.headers["content-security-policy"]
    assert Record.load(tmp_path, "soc-teams").proved_at is None
    for wrong in ("/soc-teams/other", "/..%2fx/c0de", "/nobody/c0de"):
        assert ask("POST", wrong).status_code == 404
    assert ask("POST", "/soc-teams/c0de").status_code == 200
    assert Record.load(tmp_path, "soc-teams").proved_at
    assert ask("POST", "/soc-teams/c0de").status_code == 404


def test_what_a_full_disk_does_not_take_is_said_to_who_confirms(tmp_path, monkeypatch):
    Record().sent(time.time(), "c0de").save(tmp_path, "soc")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    app = canary_page.create_page(tmp_path, lambda: ["soc"])

    async def run():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://page") as http:
            return await http.post("/soc/c0de")

    answer = asyncio.run(run())
    assert (answer.status_code, "try again later" in answer.text) == (507, True)
    assert Record.load(tmp_path, "soc").fits("c0de")


BOT = {"url": "http://127.0.0.1:9/chat", "token": "s3cr3t", "channel": "a" * 26}


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (Answer(200, {}, b'{"posts": {"x": {"message": "Canary 1234"}}}'), ""),
        (Answer(200, {}, b'{"posts": {}}'), "it was accepted and is not there"),
        (Answer(401, {}), "the place to look in cannot be read: HTTP 401"),
    ],
)
def test_mattermost_is_read_back_by_a_bot(asked, answer, trouble):
    settings = Canary.model_validate({"proof": "read_back", "bot": BOT})
    asked.answers = [answer]
    assert asyncio.run(canary_read_back.find(settings, "1234", 0.0)) == trouble
    request = asked.requests[0]
    assert request.headers["Authorization"] == "Bearer s3cr3t"
    assert (request.path, request.query) == (f"/chat/api/v4/channels/{'a' * 26}/posts", "per_page=60")


class Mailbox:
    """An IMAP server that knows what the canary asks for, and no more."""

    def __init__(self, subjects):
        self.subjects = subjects
        self.said = []

    async def serve(self, reader, writer):
        writer.write(b"* OK ready\r\n")
        while line := await reader.readline():
            tag, _, command = line.decode().strip().partition(" ")
            self.said.append(command)
            verb = command.split(" ")[0].upper()
            if verb == "CAPABILITY":
                writer.write(b"* CAPABILITY IMAP4rev1\r\n")
            elif verb == "LOGIN" and "right" not in command:
                writer.write(f"{tag} NO wrong password\r\n".encode())
                continue
            elif verb == "EXAMINE":
                writer.write(b"* 1 EXISTS\r\n")
            elif verb == "SEARCH":
                mark = command.rsplit('"', 2)[1]
                writer.write(b"* SEARCH" + (b" 1" if any(mark in one for one in self.subjects) else b"") + b"\r\n")
            code = "[READ-ONLY] " if verb == "EXAMINE" else ""
            writer.write(f"{tag} OK {code}done\r\n".encode())
        writer.close()


@pytest.mark.parametrize(
    ("password", "subjects", "trouble"),
    [
        ("right", ["Canary 1234: x"], ""),
        ("right", ["another"], "it was accepted and is not there"),
        ("no", [], "the place to look in cannot be read: wrong password"),
    ],
)
def test_mail_is_read_back_by_imap_without_a_change(tmp_path, password, subjects, trouble):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    mailbox = Mailbox(subjects)

    async def run():
        async with await asyncio.start_server(mailbox.serve, "127.0.0.1", 0, ssl=context) as server:
            imap = {"server": "127.0.0.1", "port": server.sockets[0].getsockname()[1], "username": "u",
                    "password": password, "ca_file": str(tmp_path / "ca.pem")}  # fmt: skip
            settings = Canary.model_validate({"proof": "read_back", "imap": imap})
            return await canary_read_back.find(settings, "1234", 0.0)

    assert asyncio.run(run()) == trouble
    assert not [each for each in mailbox.said if each.upper().startswith(("SELECT", "STORE", "EXPUNGE", "DELETE"))]


def test_what_is_due_is_sent_once_and_what_is_missed_is_known(tmp_path, asked):
    rules = rules_file.parse(RULES.format(base="http://127.0.0.1:9"), "t.yml", {})
    ahead = [0.0]
    canaries = canary.Canaries(rules, tmp_path, "https://soc.example.org/canary", lambda: time.time() + ahead[0])
    asked.answers = [Answer(202, {})]
    asyncio.run(canaries.send_due())
    asyncio.run(canaries.send_due())
    (request,) = asked.requests
    assert b"https://soc.example.org/canary/soc-teams/" in request.body
    assert canaries.missed() == {"soc-teams": ""}
    ahead[0] = timedelta(days=1, minutes=1).total_seconds()
    assert canaries.missed()["soc-teams"].startswith("Nobody has confirmed a canary since")


def test_the_page_is_served_beside_the_watch_and_a_taken_port_is_said(tmp_path):
    Record().sent(time.time(), "c0de").save(tmp_path, "soc-teams")
    port = plan.Ports.free().watch_admin
    app = canary_page.create_page(tmp_path, lambda: ["soc-teams"])

    async def run():
        async with canary_page.serving(app, "127.0.0.1", port):
            async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
                shown = await http.get(f"http://127.0.0.1:{port}/soc-teams/c0de")
            with pytest.raises(NotReady, match="cannot listen"):
                async with canary_page.serving(app, "127.0.0.1", port):
                    pass
        return shown

    shown = asyncio.run(run())
    assert (shown.status_code, "server" in shown.headers) == (200, False)
    assert shown.headers["referrer-policy"] == "no-referrer"
