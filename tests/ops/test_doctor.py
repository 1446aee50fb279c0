"""The doctor's own rules: one family holds no other up, advice is never missing, a key that ends soon is told."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel

from events.errors import NotReady
from ops import doctor, doctor_hooks, doctor_machine, doctor_sekoia, doctor_settings, doctor_targets, elsewhere
from ops.findings import Asked, Finding, split, well


async def _lost(_asked: Asked) -> AsyncIterator[Finding]:
    yield well("lost.first", "seen before it ended")
    raise NotReady("the file is gone: write it again.")


async def _refused(_asked: Asked) -> AsyncIterator[Finding]:
    class Settings(BaseModel):
        port: int

    yield well("refused.first", str(Settings(port="eighty").port))


async def _fine(_asked: Asked) -> AsyncIterator[Finding]:
    yield well("fine", "looked at")


async def _bug(_asked: Asked) -> AsyncIterator[Finding]:
    yield well("bug", str({}[_asked.url]))


def test_a_family_that_cannot_go_on_holds_no_other_up():
    found = asyncio.run(doctor.examine(Asked(), {"lost": _lost, "refused": _refused, "fine": _fine}))
    assert [(each.check, each.state) for each in found] == [
        ("lost.first", "well"),
        ("lost", "failed"),
        ("refused", "skipped"),
        ("fine", "well"),
    ]
    assert found[1] == Finding("lost", "failed", "the file is gone", "write it again.")
    assert "eighty" not in found[2].found  # it may be a secret


def test_a_mistake_of_ours_is_no_finding():
    with pytest.raises(KeyError):
        asyncio.run(doctor.examine(Asked(), {"bug": _bug}))


def test_nothing_set_is_told_with_what_to_do_everywhere():
    found = asyncio.run(doctor.examine(Asked()))
    assert {each.check for each in found if each.state == "failed"} == {
        "settings.hooks",
        "kafka.address",
        "sekoia.key",
        "targets",
    }
    assert [each for each in found if each.state in {"failed", "warning"} and not each.advice] == []


def test_the_page_names_every_check():
    root = Path(__file__).parents[2]
    code = "".join(path.read_text("utf-8") for path in (root / "ops").glob("doctor_*.py"))
    subjects = "settings|kafka|topics|letters|sekoia|ingest|hook|targets|machine"
    checks = set(re.findall(rf'"((?:{subjects})(?:\.[a-z-]+)?)"', code)) - {"settings"}
    page = (root / "docs/doctor.md").read_text("utf-8")
    assert len(checks) > 20
    assert [check for check in sorted(checks) if f"`{check}`" not in page] == []


def test_a_sentence_without_advice_gets_some():
    assert split("x", "it is broken", "mend it").advice == "mend it"
    assert split("x", "it is broken: mend this", "mend it") == Finding("x", "failed", "it is broken", "mend this")


def key(payload: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{body}.signature"


@pytest.mark.parametrize(
    ("text", "end"),
    [
        (key({"exp": 1785312417}), datetime(2026, 7, 29, 8, 6, 57, tzinfo=UTC)),
        (key({"iat": 1}), None),
        (key({"exp": "soon"}), None),
        (key({"exp": 10**30}), None),
        (key(["exp"]), None),
        ("one-word-that-says-nothing", None),
        ("a.b.c", None),
    ],
)
def test_a_key_that_says_when_it_ends_is_read(text, end):
    assert doctor_sekoia.expiry(text) == end


@pytest.mark.parametrize(
    ("reason", "cure"),
    [
        ("HTTP 401: no", "make a new one"),
        ("HTTP 404", "make a new one"),
        ("HTTP 302", "final address"),
        ("the card is too large", "tocsin rules schema"),
    ],
)
def test_a_refusal_is_cured_by_what_it_is(reason, cure):
    assert cure in doctor_targets._when_refused(reason)


@pytest.mark.parametrize(
    ("reason", "cure"),
    [
        ("the server refused user name and password (SMTP 535)", "username and password"),
        ("HTTP 429: slow down", "wait"),
        ("HTTP 503", "status page"),
        ("no answer: ConnectTimeout", "firewall"),
    ],
)
def test_a_target_that_is_away_is_cured_by_why(reason, cure):
    assert cure in doctor_targets._when_unavailable(reason)


def test_a_folder_that_is_not_there_yet_is_judged_by_the_disk_it_will_be_on(tmp_path):
    found = doctor_machine._folder("the spool", tmp_path / "a/b/c", 1, "INGEST_SPOOL elsewhere")
    assert found.state == "well"
    assert str(tmp_path) in found.found
    full = doctor_machine._folder("the spool", tmp_path, 10**18, "INGEST_SPOOL elsewhere")
    assert (full.state, full.advice) == ("failed", "make room on that disk, or set INGEST_SPOOL elsewhere.")


def states(family):
    async def look() -> list[Finding]:
        return [each async for each in family(Asked())]

    return {each.check: each.state for each in asyncio.run(look())}


def test_beside_the_rooms_in_a_container_of_its_own_it_judges_nothing_that_is_elsewhere(monkeypatch):
    """As in the pod of the watch: no hooks, none of the rooms' disks, and ingest behind a name."""
    monkeypatch.setenv("WATCH_ROOMS", "ingest=http://192.0.2.1:8081,stream=http://192.0.2.2:8082")
    monkeypatch.setenv("TOCSIN_DATA", "/proc/nobody-writes-here")
    monkeypatch.setattr(doctor_hooks, "TIMEOUT", 0.01)
    found = states(doctor_settings.look) | states(doctor_machine.look) | states(doctor_hooks.look)
    assert found == {
        "settings": "well",
        "settings.hooks": "skipped",
        "machine.disk": "skipped",
        "ingest.health": "failed",
        "hook.reach": "skipped",
    }
    monkeypatch.delenv("WATCH_ROOMS")
    assert states(doctor_machine.look)["machine.disk"] == "failed"


@pytest.mark.parametrize(
    ("rooms", "away"),
    [
        ("ingest=http://ingest:8081", "http://ingest:8081"),
        ("ingest=http://127.0.0.1:9081,stream=http://stream:8082", ""),
        ("ingest=http://localhost:8081", ""),
        ("ingest=http://[::1]:8081", ""),
        ("stream=http://stream:8082", ""),
        (None, ""),
    ],
)
def test_ingest_is_elsewhere_where_the_watch_has_a_name_for_it(rooms, away, monkeypatch):
    if rooms:
        monkeypatch.setenv("WATCH_ROOMS", rooms)
    assert elsewhere.ingest() == away


def test_who_lets_a_test_event_hang_is_one_who_does_not_answer(monkeypatch):
    """By a drop now and then, within the client's own time-out: what ends it is ours."""

    async def never(*_, **__):
        await asyncio.Event().wait()

    monkeypatch.setattr(httpx.AsyncClient, "post", never)
    monkeypatch.setattr(doctor_hooks, "TIMEOUT", 0.01)
    found = asyncio.run(doctor_hooks._knock("https://hooks.example.org", "here"))
    assert (found.state, found.check) == ("failed", "hook.reach")
    assert "does not answer" in found.found
