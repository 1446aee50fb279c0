"""Where in a rules file a mistake stands, to the column."""

import pytest

from events.errors import NotReady
from sinks import rules_file
from sinks.rules_text import LARGEST, RulesText

HEAD = """\
targets:
  s: {type: log}
rules:
  - name: a
    notify: s
"""
TAIL = """\
unmatched: drop
"""


def refused(text: str) -> str:
    with pytest.raises(NotReady) as raised:
        rules_file.parse(text, "tocsin.yml", {})
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("    match: {if: urgancy > 1}\n", "tocsin.yml:6:17: rules.0.match.if: there is no 'urgancy': did you mean"),
        ("    match: {if: 'size(aset) > 1'}\n", "tocsin.yml:6:23: rules.0.match.if: there is no 'aset'"),
        ("    match: {if: '''x'' in aset'}\n", "tocsin.yml:6:27: rules.0.match.if: there is no 'aset'"),
        ('    match: {if: "urgency > 1 && aset"}\n', "tocsin.yml:6:33: rules.0.match.if: there is no 'aset'"),
        (
            '    match: {if: "\\"x\\" in aset"}\n',
            "tocsin.yml:6:17: rules.0.match.if: there is no 'aset': did you mean 'asset'? (at 1:8 of the expression)",
        ),
        (
            "    match:\n      any:\n        - if: |\n            urgency > 1 &&\n              aset == 'x'\n",
            "tocsin.yml:10:15: rules.0.match.any.0.if: there is no 'aset'",
        ),
        (
            "    match:\n      if: >\n        urgency > 1 &&\n        aset == 'x'\n",
            "tocsin.yml:7:11: rules.0.match.if: there is no 'aset': did you mean 'asset'? (at 1:16 of the expression)",
        ),
        ("    match: {if: 'urgency >'}\n", "tocsin.yml:6:27: rules.0.match.if: not CEL: mismatched input the end"),
        (
            "    match: all\n    mute: {dys: sat}\n",
            "tocsin.yml:7:12: rules.0.mute.0.dys: unknown setting: did you mean 'days'",
        ),
        (
            "    match: all\n    digest: {evry: 1h}\n",
            "tocsin.yml:7:14: rules.0.digest.evry: unknown setting: did you mean 'every'",
        ),
        (
            "    match: {when: {zon: UTC}}\n",
            "tocsin.yml:6:20: rules.0.match.when.zon: unknown setting: did you mean 'zone'",
        ),
        ("    match: all\n    digest: soon\n", "tocsin.yml:7:13: rules.0.digest.every: write a time such as 90s"),
        ("    match: all\n    stp: true\n", "tocsin.yml:7:5: rules.0.stp: unknown setting: did you mean 'stop'?"),
        ("    match: {recurrence: 10}\n    stop: true\n", "tocsin.yml:4:5: rules.0: a rule that stops cannot"),
        (
            "    match: {not: {not: {urgency: 3}}}\n",
            "tocsin.yml:6:34: rules.0.match.not.not.urgency: write a comparison",
        ),
    ],
)
def test_the_column(written, said):
    assert said in refused(HEAD + written + TAIL)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("targets: &a {s: *a}\n", "an alias that holds itself"),
        (
            "a: &a [" + "x, " * 100 + "x]\n" + "".join(f"b{n}: &b{n} [{', '.join(['*a'] * 99)}]\n" for n in range(9)),
            "the file holds too much",
        ),
        ("targets: {s: {start: 2026-99-99}}\n", "a date or number that cannot be"),
        ("#" * (LARGEST + 1), "larger than"),
        ("[" * 60 + "]" * 60, "the file holds too much"),
        ("[" * 5000 + "]" * 5000, "nested"),
    ],
    ids=["itself", "aliases", "date", "large", "deep", "deeper"],
)
def test_a_file_that_would_cost_too_much_is_refused(text, said):
    assert said in refused(text)


def test_what_is_not_there_stands_where_it_would():
    text = RulesText(HEAD, "f")
    assert text.place(("rules", 0, "match", "urgency")) == "f:4:5"
    assert text.place(("targets", "s"), key=True) == "f:2:3"
    assert text.place(()) == "f:1:1"
    assert RulesText(HEAD, "f", numbered=False).place(("rules", 0)) == "f"
