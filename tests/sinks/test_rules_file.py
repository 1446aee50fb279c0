"""Reading the rules file: what it means, and every mistake with its line."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import NotReady
from sinks import rules_file

GOOD = """\
targets:
  soc: {type: teams, url: "${SOC_URL}"}
  screen: {type: log, start: earliest}
rules:
  - name: urgent
    match: {urgency: ">= 70"}
    notify: [soc, screen]
  - name: rest
    match: all
    notify: screen
"""
ENVIRONMENT = {"SOC_URL": "https://x.environment.api.powerplatform.com/w?sig=s3cr3t"}


def test_a_good_file():
    rules = rules_file.parse(GOOD, "tocsin.yml", ENVIRONMENT)
    assert list(rules.targets) == ["soc", "screen"]
    assert rules.targets["soc"].settings.url.get_secret_value() == ENVIRONMENT["SOC_URL"]
    assert rules.targets["screen"].start == "earliest"
    assert len(rules.version) == 64
    assert "s3cr3t" not in repr(rules.targets)


def test_a_secret_from_a_file(tmp_path):
    (tmp_path / "url").write_text(ENVIRONMENT["SOC_URL"] + "\n")
    rules = rules_file.parse(GOOD.replace("${SOC_URL}", f"file:{tmp_path}/url"), "tocsin.yml", {})
    assert rules.targets["soc"].settings.url.get_secret_value() == ENVIRONMENT["SOC_URL"]


@pytest.mark.parametrize(
    ("was", "wrong", "said"),
    [
        (
            "type: teams",
            "type: team",
            "tocsin.yml:2:15: targets.soc.type: there is no destination type 'team': did you mean",
        ),
        ("url: ", "ulr: ", "tocsin.yml:2:22: targets.soc.ulr: unknown setting: did you mean 'url'?"),
        ("${SOC_URL}", "${OTHER}", "tocsin.yml:2:27: targets.soc.url: the environment variable OTHER is not set"),
        (
            "${SOC_URL}",
            "file:/does/not/exist",
            "targets.soc.url: file:/does/not/exist cannot be read: FileNotFoundError",
        ),
        ("start: earliest", "start: soon", "tocsin.yml:3:30: targets.screen.start: write now, earliest, or a time"),
        ("  screen:", "  Screen!:", "tocsin.yml:3:3: targets.Screen!: a name is made of a-z"),
        ("  screen:", "  archive:", "tocsin.yml:3:3: targets.archive: a name is made of"),
        ("  screen:", "  soc:", "tocsin.yml:3:3: 'soc' stands here a second time"),
        (
            "[soc, screen]",
            "[sock]",
            "tocsin.yml:7:14: rules.0.notify.0: there is no target 'sock': did you mean 'soc'?",
        ),
        ("name: rest", "name: urgent", "tocsin.yml:8:11: rules.1.name: a second rule is named 'urgent'"),
        ("match: all", "match: {type: case}", "rules: what no rule matches reaches nobody"),
        (">= 70", "70", "tocsin.yml:6:22: rules.0.match.urgency: write a comparison"),
        ('">= 70"', ">= 70", "a comparison stands in quotes"),
        ("targets:", "target:", "did you mean 'targets'"),
        ("rules:\n", "rules: {}\nx:\n", "rules"),
        ("targets:", "\ttargets:", "not YAML"),
        ("targets:", "\x00targets:", "not YAML: it holds characters"),
        (GOOD, "", "the file must hold `targets:` and `rules:`"),
        (GOOD, "[]", "the file must hold"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_place(was, wrong, said):
    with pytest.raises(NotReady) as raised:
        rules_file.parse(GOOD.replace(was, wrong, 1), "tocsin.yml", ENVIRONMENT)
    assert said in str(raised.value)
    assert "s3cr3t" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_nobody_is_to_be_told_of_is_said_on_purpose():
    text = GOOD.replace("match: all", "match: {type: case}") + "unmatched: drop\n"
    assert rules_file.parse(text, "tocsin.yml", ENVIRONMENT).rules[-1].name == "rest"


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(NotReady, match="cannot be read: FileNotFoundError"):
        rules_file.read(tmp_path / "none.yml", {})
    (tmp_path / "bytes.yml").write_bytes(b"\xff")
    with pytest.raises(NotReady, match="cannot be read: UnicodeDecodeError"):
        rules_file.read(tmp_path / "bytes.yml", {})


@given(
    st.text(max_size=300)
    | st.integers(0, len(GOOD)).flatmap(lambda n: st.text(max_size=5).map(lambda t: GOOD[:n] + t + GOOD[n + len(t) :]))
)
def test_any_text_is_rules_or_one_sentence(text):
    with contextlib.suppress(NotReady):
        rules_file.parse(text, "tocsin.yml", ENVIRONMENT)
