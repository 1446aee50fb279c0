"""The pipeline page shows the one runbook there is, and every red state leads to an entry of it."""

import re

from inbox import runbook
from inbox.figures import _SHOWN
from inbox.pipeline import AWAY, Glance
from inbox.rendering import Pages, sentence


def test_the_package_carries_the_runbook_of_the_docs():
    page = runbook.PAGE.read_text("utf-8")
    assert runbook.DATA.read_text("utf-8") == runbook.carried(page), "run `python -m inbox.runbook`"
    assert [each.name for each in runbook.entries()] == re.findall(r"^## (\w+)$", page, re.MULTILINE)
    assert all(each.symptom and each.check and each.cure for each in runbook.entries())


def test_whatever_is_wrong_has_its_entry():
    anchors = {each.anchor for each in runbook.entries()}
    named = {value for name, value in vars(runbook).items() if name.isupper() and isinstance(value, str)}
    assert named <= anchors
    assert {each.entry for each in _SHOWN if each.entry} <= named


def test_its_page_links_to_nothing_that_is_not_there():
    glance = Glance([], [], AWAY)
    shown = {"glance": glance, "AWAY": AWAY, "reader": "ada", "leaves": False, "runbook": runbook.entries()}
    page = Pages().page("pipeline.html", unread=0, **shown)
    ids = set(re.findall(r'id="([\w-]+)"', page))
    linked = set(re.findall(r'href="#([\w-]+)"', page))
    assert len(linked) > 3
    assert linked - {address for address in linked if address.startswith(("i-", "u-"))} <= ids
    assert "<code>tocsin doctor</code>" in page
    assert "](" not in page


def test_names_are_for_people():
    assert [
        runbook.title(name) for name in ("TocsinApiKeyExpiring", "TocsinAlertApiBreakerOpen", "TocsinKafkaAway")
    ] == [
        "API key expiring",
        "Alert API breaker open",
        "Kafka away",
    ]


def test_a_sentence_is_text():
    assert str(sentence("see `a <b>` and [TocsinKafkaAway](#tocsinkafkaaway) <i>, [history.md](history.md)")) == (
        'See <code>a &lt;b&gt;</code> and <a href="#tocsinkafkaaway">Kafka away</a> &lt;i&gt;, docs/history.md'
    )
