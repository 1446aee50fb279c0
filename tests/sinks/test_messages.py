"""Messages drawn from hostile text: within the client's limits, and without meaning for it."""

import email
import email.policy
import importlib.util
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from pydantic import SecretStr

from sandbox import message_limits
from sinks.destinations import mattermost, slack, telegram
from sinks.mail import compose
from sinks.summary import Summary, summarise
from sinks.text import defang

_spec = importlib.util.spec_from_file_location("hostile", Path(__file__).with_name("hostile.py"))
assert _spec
assert _spec.loader
hostile = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hostile)

HOOK = mattermost.MattermostSettings(url=SecretStr("https://chat.example.org/hooks/x"))


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in strings(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return [value] if isinstance(value, str) else []


class Tags(HTMLParser):
    """Collect tags, addresses and text; tags must close in order."""

    VOID = frozenset({"meta"})

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: set[str | None] = set()
        self.text = ""
        self.open: list[str] = []
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links.update(value for name, value in attrs if name in {"href", "src"})
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_slack_takes_what_is_longest_once_it_is_escaped():
    facts = tuple((f"{'&' * 59}{number}", "&" * 200) for number in range(9))
    whole = Summary("c/1", "t" * 200, "alert created", None, "w" * 3_000, facts, "b" * 2_000, "https://app.example/a")
    blocks = slack.message(whole)["blocks"]
    assert message_limits.slack(orjson.dumps({"text": "x", "blocks": blocks}))
    assert len(next(block["fields"] for block in blocks if "fields" in block)) == 5


@given(hostile.events())
def test_mattermost(event):
    message = mattermost.message(summarise(event), HOOK)
    for text in strings(message):
        assert not re.search(r"@(channel|here|all|everyone)\b", text)
        assert not re.search(r"(?<!\\)\]\(https://evil", text)
        assert len(text) <= mattermost.MAX_TEXT
    attachment = message["attachments"][0]
    assert attachment["title_link"] == hostile.LINK
    assert len(orjson.dumps(message)) < 200_000


@given(hostile.events())
def test_slack(event):
    message = slack.message(summarise(event))
    assert len(strings(message["blocks"])) < 100
    assert sum(map(len, strings(message["blocks"]))) <= slack.MAX_BLOCKS
    for block in message["blocks"]:
        texts = [block["text"]] if "text" in block else block.get("fields", [])
        assert len(block.get("fields", [])) <= 10
        for text in texts:
            limit = slack.MAX_HEADER if block["type"] == "header" else 2_000 if "fields" in block else slack.MAX_SECTION
            assert 1 <= len(text["text"]) <= limit
            if text["type"] == "mrkdwn":
                assert "<" not in text["text"]
                assert "://" not in text["text"]
    assert "<" not in message["text"]


@given(hostile.events())
def test_telegram(event):
    summary = summarise(event)
    drawn = Tags(telegram.text(summary))
    assert drawn.tags <= {"b", "code", "pre"}
    assert len(drawn.text.encode("utf-16-le")) // 2 <= telegram.MAX_TEXT
    assert len(telegram.plain(summary)) <= telegram.MAX_TEXT


@given(hostile.events())
def test_mail(event):
    raw = compose(event, sender="tocsin@example.org", to=["soc@example.org"], enriched=True).as_bytes()
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert not mail.defects
    assert set(mail.keys()) <= {
        "Subject", "From", "To", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted",
        "X-Auto-Response-Suppress", "Importance", "MIME-Version", "Content-Type",
    }  # fmt: skip
    assert mail["To"] == "soc@example.org"
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    page = mail.get_body(("html",)).get_content()
    drawn = Tags(page)
    assert drawn.tags <= {"html", "head", "meta", "body", "div", "h1", "p", "table", "tr", "td", "a"}
    assert drawn.links == {hostile.LINK}
    text = mail.get_body(("plain",)).get_content()
    assert not re.search(r"https?://(?!app\.sekoia\.io)", text)


def test_mails_of_one_alert_are_one_thread_and_the_same_event_is_one_mail():
    first, again, other = (
        compose(event, sender="a@example.org", to=["b@example.org"], enriched=False)
        for event in (hostile.event(), hostile.event(), hostile.event().model_copy(update={"event_id": "e2"}))
    )
    assert first["Message-ID"] == again["Message-ID"] != other["Message-ID"]
    assert first["References"] == other["References"]


def test_simple_mail_tells_nothing_but_title_and_link():
    mail = compose(hostile.event(entity="PC-7"), sender="a@example.org", to=["b@example.org"], enriched=False)
    assert b"PC-7" not in mail.as_bytes()
    assert hostile.LINK in mail.get_body(("plain",)).get_content()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("WINWORD.EXE opened invoice.docm", "WINWORD.EXE opened invoice.docm"),
        ("invoice.zip run.sh evil.example", "invoice[.]zip run[.]sh evil[.]example"),
        ("evil.example.exe", "evil.example[.]exe"),
        ("https://evil.example/a.exe", "https[:]//evil[.]example/a.exe"),
        ("10.0.0.1:8080", "10.0.0[.]1:8080"),
    ],
)
def test_hosts_are_broken_and_names_of_files_are_not(text, shown):
    assert defang(text) == shown
