"""Which letters are open, how they are grouped, and when they leave."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from events.headers import DeadLetter, originals, restored
from events.settings import KafkaSettings
from ops import dead_letters
from ops.cli import app
from ops.dead_letters import safe
from ops.dead_letters_cli import place
from ops.letters import FATE, KEPT, LETTER, Box, Place, Wanted, grouped, leaving
from ops.moments import moment
from ops.redrive import ANYWHERE, Way, route

NOW = datetime(2026, 7, 29, 12, tzinfo=UTC)


def record(offset, *, partition=0, stage="sink", target="soc", reason="status 400", key=b"a1", at=NOW, headers=()):
    letter = DeadLetter(stage, reason, "t.enriched.v1", partition, 7, target, first_at=at, last_at=at)
    return SimpleNamespace(
        partition=partition,
        offset=offset,
        timestamp=int(at.timestamp() * 1000),
        key=key,
        headers=[*letter.to_kafka(), *headers],
    )


def entry(offset, fate="redriven", *, partition=0):
    headers = [(FATE, fate.encode()), (LETTER, str(offset).encode())]
    return SimpleNamespace(partition=partition, offset=offset + 1000, timestamp=0, key=b"a1", headers=headers)


def box(*records):
    found = Box()
    for each in records:
        found.take(each)
    return found


def test_a_letter_is_open_until_the_ledger_names_it():
    found = box(record(0), record(1), record(0, partition=1), entry(0), entry(1, "dropped"))
    assert [letter.place for letter in found.open(Wanted())] == [Place(1, 0)]


def test_what_is_neither_letter_nor_entry_is_passed_over():
    strange = SimpleNamespace(partition=0, offset=0, timestamp=0, key=None, headers=[])
    assert box(strange).open(Wanted()) == []


@pytest.mark.parametrize(
    ("wanted", "offsets"),
    [
        (Wanted(), [0, 1, 2]),
        (Wanted(stage="stream"), [2]),
        (Wanted(target="soc"), [0]),
        (Wanted(reason="400"), [0, 1]),
        (Wanted(reason="not*JSON"), [2]),
        (Wanted(alert="A2"), [1]),
        (Wanted(since=NOW - timedelta(hours=1)), [1, 2]),
        (Wanted(until=NOW), [0]),
        (Wanted(places=frozenset({Place(0, 1)})), [1]),
    ],
)
def test_filters_narrow(wanted, offsets):
    found = box(
        record(0, at=NOW - timedelta(hours=2)),
        record(1, target="mail", key=b"a2"),
        record(2, stage="stream", target="", reason="not JSON: unexpected end"),
    )
    assert [letter.place.offset for letter in found.open(wanted)] == offsets


def test_a_stage_that_is_none_is_told():
    done = CliRunner().invoke(app, ["dead-letters", "list", "--stage", "sinks"], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "'sinks' is no stage" in done.output


@pytest.mark.parametrize(
    ("wanted", "said"), [(Wanted(), "No dead letter is open."), (Wanted(target="sox"), "No open letter matches")]
)
def test_a_filter_that_finds_nothing_is_no_all_clear(monkeypatch, capsys, wanted, said):
    async def none(*_):
        return []

    monkeypatch.setattr(dead_letters, "_open", none)
    dead_letters.show_causes(KafkaSettings(bootstrap_servers="localhost:1"), wanted, as_json=False)
    assert said in capsys.readouterr().out


def test_letters_that_leave_soon_are_told_beside_json_too(monkeypatch, capsys):
    async def one(*_):
        return box(record(0, at=datetime.now(UTC) - KEPT + timedelta(days=2))).open(Wanted())

    monkeypatch.setattr(dead_letters, "_open", one)
    dead_letters.show_causes(KafkaSettings(bootstrap_servers="localhost:1"), Wanted(), as_json=True)
    said = capsys.readouterr()
    assert json.loads(said.out)[0]["count"] == 1
    assert "1 of them leave Kafka within a week" in said.err


def test_causes_are_counted_the_most_frequent_first():
    early = NOW - timedelta(days=3)
    groups = grouped(box(record(0, reason="x"), record(1, at=early), record(2)).open(Wanted()))
    assert [(group.reason, group.count) for group in groups] == [("status 400", 2), ("x", 1)]
    assert (groups[0].first_at, groups[0].last_at, groups[0].example) == (early, NOW, "0/1")


def test_letters_that_leave_within_a_week_are_told_long_before():
    old = record(0, at=NOW - KEPT + timedelta(days=2))
    letters = box(old, record(1)).open(Wanted())
    assert leaving(letters, NOW) == (1, timedelta(days=2))
    assert leaving(letters[1:], NOW) is None


def test_the_stream_s_letters_go_back_as_they_came_and_a_target_s_to_it_alone():
    topics = SimpleNamespace(raw="t.raw.v1", redeliveries="t.redeliveries.v1")
    own = [("event-id", b"c/1"), ("received-at", b"2026-07-29T08:00:00+00:00")]
    assert route(topics, record(0, stage="stream", headers=originals(own)), "job") == ("t.raw.v1", own)
    to, headers = route(topics, record(0), "job")
    assert to == "t.redeliveries.v1"
    assert dict(headers) == {"target": b"soc", "cause": b"redrive", "job-id": b"job"}


def test_a_letter_of_the_archive_has_no_way_back():
    letters = box(record(0), record(1, target="archive"), record(2, stage="stream", target="")).open(Wanted())
    assert [ANYWHERE.has(letter) for letter in letters] == [True, False, True]


@pytest.mark.parametrize(
    ("way", "redriven"),
    [
        (Way({"soc-teams"}), [False, False, True]),
        (Way({"soc-teams"}, "soc-teams"), [True, False, True]),
        (Way({"soc"}, "soc-teams"), [False, False, True]),
    ],
)
def test_a_letter_of_a_target_that_is_no_more_stays_unless_another_gets_it(way, redriven):
    letters = box(record(0), record(1, target="archive"), record(2, stage="stream", target="")).open(Wanted())
    assert [way.has(letter) for letter in letters] == redriven
    topics = SimpleNamespace(raw="t.raw.v1", redeliveries="t.redeliveries.v1")
    assert dict(route(topics, record(0), "job", way.to)[1])["target"] == (way.to or "soc").encode()


@given(st.lists(st.tuples(st.text(min_size=1), st.binary())))
def test_headers_come_back_as_they_were(headers):
    assert restored([("stage", b"stream"), *originals(headers)]) == headers


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("24h", NOW - timedelta(days=1)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-07-29T08:00", datetime(2026, 7, 29, 8, tzinfo=UTC)),
        ("2026-07-29T08:00+02:00", datetime(2026, 7, 29, 6, tzinfo=UTC)),
    ],
)
def test_moments_are_durations_ago_or_times(text, found):
    assert moment(text, NOW) == found


@pytest.mark.parametrize("text", ["yesterday", "", "24 hours"])
def test_a_moment_that_is_none_is_told(text):
    with pytest.raises(typer.BadParameter, match="neither a duration"):
        moment(text, NOW)


@pytest.mark.parametrize("text", ["9999999d", "99999999999999d"])
def test_a_moment_before_the_calendar_is_told(text):
    with pytest.raises(typer.BadParameter, match="before the year 1"):
        moment(text, NOW)


@pytest.mark.parametrize("text", ["", "3", "3/", "a/1", "3/-1"])
def test_a_place_that_is_none_is_told(text):
    with pytest.raises(typer.BadParameter, match="PARTITION/OFFSET"):
        place(text)


@given(st.text())
def test_no_text_of_others_moves_the_cursor_or_turns_its_direction(text):
    assert safe(text + "\u202e\x1b[2J").isprintable()
