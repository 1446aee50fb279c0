"""Every page: its links lead somewhere, and the commands, options, settings and files it shows are real."""

import json
import re
import shlex
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import get_args

import click
import pytest
import typer
import yaml

from events.records import Enrichment, Outcome
from events.settings import KafkaSettings
from events.topics import Topics, contract
from ops import conditions, settings
from ops.cli import app
from sandbox.drill_faults import DRILLS
from sinks.window import URGENT
from stream.completions import LIFETIME
from stream.settings import StreamSettings
from tests.docs.snippets import DOCS

ROOT = DOCS.parent
PAGES = sorted(
    [*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "bench").glob("*.md"), *(ROOT / "deploy").rglob("*.md")]
)
OURS = (
    "ARCHIVE_", "CATCH_UP_", "HEARTBEAT_", "INBOX_", "INGEST_", "KAFKA_", "SEKOIA_", "SILENCE_", "SINKS_", "STREAM_",
    "TEAMS_", "TOCSIN_", "WATCH_",
)  # fmt: skip
NO_SETTING = {
    "KAFKA_HEAP_OPTS",  # Kafka's own
}
COMMAND = typer.main.get_command(app)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text(path: Path) -> str:
    return path.read_text("utf-8")


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as the usual hosts make them."""
    prose = re.sub(r"^```.*?^```$", "", text(path), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def blocks(path: Path, *languages: str) -> list[str]:
    wanted = "|".join(languages)
    return re.findall(rf"^ *```(?:{wanted})\n(.*?)^ *```$", text(path), re.DOTALL | re.MULTILINE)


def lines(path: Path) -> list[str]:
    """Return the commands of ours that a page shows: in blocks a line each, in prose between backticks."""
    shown = [line for block in blocks(path, "sh", "") for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^ *```.*?^ *```$", "", text(path), flags=re.DOTALL | re.MULTILINE)
    shown += [re.sub(r"\s+", " ", code) for code in re.findall(r"`([^`]+)`", prose)]
    return [line.strip() for line in shown if re.match(r"\s*tocsin [a-z]", line)]


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_lead_to_a_file_and_a_heading(path):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text(path)):
        place, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (path.parent / place).resolve() if place else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_commands_and_options_exist(path):
    assert [(line, trouble) for line in lines(path) if (trouble := wrong(line))] == []


def wrong(line: str) -> str:
    """Return what of a command line of ours does not exist, "" when all of it does."""
    words = shlex.split(line.partition(" #")[0], posix=True)[1:]
    if one_of := next((word for word in words if "|" in word and not word.startswith("-")), ""):
        return next((each for each in one_of.split("|") if wrong(line.replace(one_of, each))), "")
    command: click.Command = COMMAND
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    if command is COMMAND or (getattr(command, "commands", None) and words and not words[0].startswith("-")):
        return words[0] if words else ""
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help"
    }
    return next((word for word in words if word.startswith("--") and word.partition("=")[0] not in known), "")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("tocsin doctor --json", ""),
        ("tocsin dead-letters list  # by cause", ""),
        ("tocsin dead-letters lisst", "lisst"),
        ("tocsin doctor --jason", "--jason"),
        ("tocsin docter", "docter"),
    ],
)
def test_a_slip_in_a_command_is_found(line, found):
    assert wrong(line) == found


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_settings_exist(path):
    known = {each for model in settings.MODELS for each in settings.names(model)} | NO_SETTING | {"TOCSIN_DATA"}
    named = set(re.findall(r"(?<![\w$<{])((?:" + "|".join(OURS) + r")[A-Z0-9_]*[A-Z0-9])(?![\w*…])", text(path)))
    assert named - known == set()


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_snippets_are_what_they_say(path):
    for block in blocks(path, "json"):
        json.loads(block)
    for block in blocks(path, "yaml", "yml"):
        yaml.safe_load(block)
    for block in blocks(path, "sh"):
        done = subprocess.run(["sh", "-n"], input=block, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_index_names_every_page():
    index = text(DOCS / "README.md")
    missing = [name(path) for path in DOCS.rglob("*.md") if path != DOCS / "README.md"]
    missing = [each for each in missing if f"({each.removeprefix('docs/')})" not in index]
    assert missing == []


def test_scaling_states_only_what_was_measured():
    measured = text(ROOT / "bench/README.md")
    table = text(DOCS / "scaling.md").partition("## Measured\n\n")[2].partition("\n\n")[0]
    figures = [each for row in table.splitlines()[2:] for each in re.findall(r"\d[\d,.]*\d|\d", row)]
    assert len(figures) > 12
    assert [
        figure for figure in figures if not re.search(rf"(?<![\d,.]){re.escape(figure)}(?![\d]|[,.]\d)", measured)
    ] == []


def test_security_states_the_retention_of_the_contract():
    page = text(DOCS / "security.md")
    for topic in contract(KafkaSettings()):
        kept = int(topic.config.get("retention.ms", 0))
        days = f"{kept // 86_400_000} days" if kept > 0 else "for ever"
        [row] = re.findall(rf"^\|.*`{re.escape(topic.name)}` \| (.*) \|$", page, re.MULTILINE)
        assert row == days if kept else row.startswith("compacted")


def test_concepts_has_every_word_a_receipt_or_a_status_may_say():
    page = text(DOCS / "concepts.md")
    said = {*get_args(Outcome), *get_args(Enrichment.model_fields["status"].annotation)} - {"complete"}
    assert {word for word in said if f"`{word}`" not in page} == set()


def test_concepts_names_the_alerts_that_no_drill_makes():
    drilled = {conditions.split(each.key)[0].entry for each in DRILLS.values()}
    alerts = set(re.findall(r"^## (Tocsin\w+)$", text(DOCS / "runbook.md"), re.MULTILINE))
    assert set(re.findall(r"Tocsin\w+", text(DOCS / "concepts.md"))) == alerts - drilled
    assert drilled < alerts


def test_concepts_states_the_days_and_seconds_of_the_code():
    page = text(DOCS / "concepts.md")
    kept = {topic.name: int(topic.config.get("retention.ms", 0)) // 86_400_000 for topic in contract(KafkaSettings())}
    names = Topics("tocsin.")
    assert f"Kafka keeps raw for {kept[names.raw]} days, enriched and deliveries for {kept[names.enriched]}" in page
    assert kept[names.enriched] == kept[names.deliveries]
    stream = StreamSettings()
    assert f"`STREAM_DEDUPE_WINDOW` ({stream.dedupe_window // timedelta(hours=1)} h)" in page
    assert f"after {stream.enrich_deadline.total_seconds():.0f} s at the latest" in page
    assert f"within {LIFETIME.days} days" in page
    assert f"urgency is {URGENT} or more" in page
