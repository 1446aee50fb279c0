"""From one look to what is wrong, and from looks to changes that a restart neither loses nor tells twice."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import NotReady
from inbox.lag import Lag
from ops.conditions import CONDITIONS, PAGE
from ops.episodes import Tally
from ops.watch_kafka import KafkaSaid
from ops.watch_letters import Letters
from ops.watch_pages import Page
from ops.watch_seen import Look, seen, served
from ops.watch_settings import WatchSettings
from ops.watch_store import Memory

ROOT = Path(__file__).parents[2]
SETTINGS = WatchSettings(_env_file=None)
CALM = KafkaSaid(Letters({0: 7}), ())
NOW = datetime(2026, 8, 1, tzinfo=UTC).timestamp()
SINK = 'tocsin_sink_paused{target="soc"} 0.0\ntocsin_sink_unavailable{target="soc"} 0.0\n'
INGEST = "tocsin_ingest_spool_open 0.0\ntocsin_ingest_spool_events 0.0\ntocsin_ingest_spool_disk_free_bytes 5e10\n"


def look(at=NOW, *, sinks=SINK, kafka=CALM, free=50e9, **more):
    pages = {"ingest": Page.read(more.pop("ingest", INGEST)), "sinks": None if sinks is None else Page.read(sinks)}
    pages |= {name: Page.read(more.pop(name)) for name in ("stream", "stream-2") if name in more}
    return Look(at, pages, kafka, int(free), **more)


def bad(*looks):
    tallies = {}
    for each in looks:
        found = seen(each, tallies, SETTINGS)
    return {key for key, said in found.items() if said.bad}


def test_all_is_well():
    assert bad(look()) == set()


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"kafka": None}, "kafka_away"),
        ({"kafka": KafkaSaid(None, None, ["tocsin.raw.v1"])}, "topics_missing"),
        ({"sinks": None}, "room_down/sinks"),
        (
            {"sinks": SINK.replace('unavailable{target="soc"} 0', 'unavailable{target="soc"} 1')},
            "target_unavailable/soc",
        ),
        ({"sinks": SINK.replace('paused{target="soc"} 0', 'paused{target="soc"} 1')}, "target_paused/soc"),
        ({"ingest": INGEST.replace("events 0", "events 3")}, "spool_in_use/ingest"),
        ({"ingest": INGEST.replace("open 0", "open 1")}, "spool_in_use/ingest"),
        ({"ingest": INGEST.replace("5e10", "5e8")}, "disk_low/ingest"),
        ({"free": 1e8}, "disk_low/data"),
        ({"stream": "tocsin_stream_api_key_refused 1.0\n"}, "api_key_refused"),
        ({"stream": "tocsin_catch_up_api_key_refused 1.0\n"}, "api_key_refused"),
        ({"stream": "tocsin_stream_breaker_open 1.0\n"}, "breaker_open"),
        (
            {"stream": "tocsin_stream_breaker_open 1.0\n", "stream-2": "tocsin_stream_breaker_open 0.0\n"},
            "breaker_open",
        ),
        (
            {
                "stream": "tocsin_stream_breaker_open 1.0\ntocsin_stream_api_key_refused 1.0\n",
                "stream-2": "tocsin_stream_breaker_open 1.0\ntocsin_stream_api_key_refused 0.0\n",
            },
            "api_key_refused",
        ),
        ({"stream": "tocsin_catch_up_webhooks_silent 1.0\n"}, "webhooks_silent"),
        ({"kafka": KafkaSaid(Letters({0: 7}), (Lag("stream", 3, 400.0), Lag("soc", 3, 4.0)))}, "late/stream"),
        ({"kafka": KafkaSaid(Letters({0: 7}), (Lag("stream", 200_000, None),))}, "late/stream"),
        ({"key_ends": datetime.fromtimestamp(NOW, UTC) + timedelta(days=13)}, "api_key_expiring"),
        ({"overdue": {"soc": "nobody confirmed it"}}, "canary_missed/soc"),
    ],
)
def test_each_trouble_is_one_condition(wrong, key):
    assert bad(look(**wrong)) == {key}


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        (
            {},
            {"ingest": INGEST + 'tocsin_ingest_rejected_total{reason="not_published"} 2.0\n'},
            "webhooks_refused/ingest",
        ),
        ({}, {"sinks": SINK + 'tocsin_sink_rules_reloads_total{outcome="refused"} 1.0\n'}, "rules_refused/sinks"),
    ],
)
def test_what_is_counted_is_bad_when_it_grows(before, after, key):
    assert bad(look(**before), look(NOW + 5, **after)) == {key}
    assert bad(look(**after), look(NOW + 5, **after)) == set()  # of old: the watch has just begun to look


def test_letters_are_told_by_their_causes_for_a_while_through_a_restart():
    causes = ["stream (malformed)", *["sink soc (HTTP 400)"] * 2, "sink lab (HTTP 404)", "archive (too long)"]
    buried = KafkaSaid(Letters({0: 12}, causes), ())
    memory = Memory()
    assert memory.take(look(), SETTINGS) == []
    (change,) = memory.take(look(NOW + 5, kafka=buried), SETTINGS)
    assert (change.key, change.raised) == ("dead_letter", True)
    assert change.detail == "2 by sink soc (HTTP 400), 1 by stream (malformed), 1 by sink lab (HTTP 404), others"
    memory.save(Path("memory"), memory.encoded())
    memory = Memory.load(Path("memory"))
    assert memory.letters == {0: 12}
    looks = [look(NOW + at) for at in (10, 800, 910, 980)]
    assert [[change.raised for change in memory.take(each, SETTINGS)] for each in looks] == [[], [], [], [False]]


def test_rules_that_were_put_right_are_right():
    refused = SINK + 'tocsin_sink_rules_reloads_total{outcome="refused"} 1.0\n'
    both = refused + 'tocsin_sink_rules_reloads_total{outcome="adopted"} 1.0\n'
    assert bad(look(), look(NOW + 5, sinks=refused), look(NOW + 5000, sinks=refused)) == {"rules_refused/sinks"}
    assert bad(look(), look(NOW + 5, sinks=refused), look(NOW + 10, sinks=both)) == set()


def test_a_room_that_starts_again_and_again():
    def started(number):
        return look(NOW + 10 * number, sinks=SINK + f"process_start_time_seconds {NOW + 10 * number}\n")

    assert bad(*map(started, range(4))) == set()
    assert bad(*map(started, range(5))) == {"room_restarting/sinks"}


def test_processes_that_take_turns_to_answer_are_not_restarts():
    starts = [NOW - 50, NOW - 49, NOW - 48] * 10
    looks = [look(NOW + n, sinks=SINK + f"process_start_time_seconds {start}\n") for n, start in enumerate(starts)]
    assert bad(*looks) == set()


def workers(*numbers, free="5e10", started=NOW, refused=5):
    """Return the page of an ingest of several workers, of those that answered."""
    return "".join(
        f'process_start_time_seconds{{worker="{n}"}} {started}\n'
        f'tocsin_ingest_spool_open{{worker="{n}"}} 0.0\ntocsin_ingest_spool_events{{worker="{n}"}} 0.0\n'
        f'tocsin_ingest_spool_disk_free_bytes{{worker="{n}"}} {free}\n'
        f'tocsin_ingest_rejected_total{{reason="not_published",worker="{n}"}} {refused if n == 1 else 0}\n'
        for n in numbers
    )


def test_a_worker_that_was_slow_to_answer_has_refused_nothing_anew():
    both, one = workers(0, 1), workers(0)
    looks = [look(NOW + 5 * n, ingest=page) for n, page in enumerate((both, one, both))]
    assert bad(*looks) == set()
    assert bad(*looks, look(NOW + 20, ingest=workers(0, 1, refused=6))) == {"webhooks_refused/ingest"}


def test_what_workers_say_of_their_host_is_not_added_up():
    assert bad(look(ingest=workers(0, 1, free="8e8"))) == {"disk_low/ingest"}
    waiting = workers(0, 1).replace('spool_events{worker="0"} 0', 'spool_events{worker="0"} 3')
    waiting = waiting.replace('spool_events{worker="1"} 0', 'spool_events{worker="1"} 3')
    assert seen(look(ingest=waiting), {}, SETTINGS)["spool_in_use/ingest"].detail == "3 events wait there"


def test_fewer_workers_than_before_are_started_again_and_again_too():
    many = [look(NOW, ingest=workers(*range(8)))]
    fewer = [look(NOW + 10 * n, ingest=workers(0, started=NOW + 10 * n)) for n in range(1, 5)]
    assert bad(*many, *fewer) == {"room_restarting/ingest"}


@pytest.mark.parametrize("remembered", [2 * NOW, NOW + 7200])
def test_a_start_that_is_remembered_from_the_future_hides_no_restart(remembered):
    tallies = {"start/ingest": Tally(remembered, (NOW - 20, NOW - 10))}
    looks = [look(NOW + 10 * n, ingest=workers(0, 1, started=NOW + 10 * n)) for n in range(5)]
    said = [seen(each, tallies, SETTINGS)["room_restarting/ingest"].detail for each in looks]
    assert said == [f"{n} starts lately" for n in range(5)]


def test_a_room_whose_clock_is_ahead_is_started_again_and_again_too():
    looks = [look(NOW + 10 * n, ingest=workers(0, started=NOW + 3600 + 10 * n)) for n in range(5)]
    assert bad(*looks) == {"room_restarting/ingest"}


def test_processes_of_a_room_are_told_apart_and_one_that_is_gone_is_forgotten():
    refused = INGEST + 'tocsin_ingest_rejected_total{reason="not_published"} 2.0\n'

    def pages(at, **said):
        return Look(NOW + at, {name: text and Page.read(text) for name, text in said.items()}, CALM, 50_000_000_000)

    a, b = "ingest@10.0.0.1", "ingest@10.0.0.2"
    tallies = {}
    found = [
        {key for key, said in seen(each, tallies, SETTINGS).items() if said.bad}
        for each in (
            pages(0, **{a: refused, b: INGEST}),
            pages(5, **{a: refused, b: None}),  # of all their counts together this would be a fall,
            pages(10, **{a: refused, b: refused}),  # and this growth of the first one too
            pages(15, ingest=None),  # the name service is away
            pages(20, **{a: refused, b: refused}),
        )
    ]
    told = {f"webhooks_refused/{b}"}
    assert found == [set(), {f"room_down/{b}"}, told, {"room_down/ingest"}, told]
    seen(pages(25, **{a: refused, "ingest@10.0.0.3": INGEST}), tallies, SETTINGS)
    assert {key for key in tallies if key.endswith(b)} == set()
    assert f"refused/{a}" in tallies


def test_whom_a_sink_serves():
    assert served(look().pages.values()) == {"soc"}
    assert served(look(sinks=None).pages.values()) == set()


def test_every_condition_has_an_entry_in_the_runbook():
    headings = {
        line.removeprefix("## ") for line in (ROOT / PAGE).read_text("utf-8").splitlines() if line.startswith("## ")
    }
    assert {each.entry for each in CONDITIONS.values()} - headings == set()
    assert len(CONDITIONS) >= 12


AWAY = SINK.replace('unavailable{target="soc"} 0', 'unavailable{target="soc"} 1')
TIMES = [0, 60, 121, 200, 261, 400]


def play(looks, restarts=()):
    """Return the ids of all changes; the memory goes through a restart before some of the looks."""
    memory, told = Memory(), []
    for number, each in enumerate(looks):
        if number in restarts:
            folder = Path("memory")
            memory.save(folder, memory.encoded())
            memory = Memory.load(folder)
        told += [change.id for change in memory.take(each, SETTINGS)]
    assert [change.id for change in memory.untold] == told
    return told


def test_one_message_when_it_begins_and_one_when_it_is_over():
    looks = [look(NOW + at, sinks=AWAY if at < 200 else SINK) for at in TIMES]
    assert play(looks) == [
        f"tocsin/target_unavailable/soc/{int(NOW * 1000)}/raised",
        f"tocsin/target_unavailable/soc/{int(NOW * 1000)}/recovered",
    ]


@given(st.sets(st.integers(0, 12)), st.lists(st.tuples(st.integers(1, 200), st.booleans()), max_size=12))
def test_a_restart_changes_no_message(restarts, steps):
    now, looks = NOW, []
    for gap, away in steps:
        now += gap
        looks.append(look(now, sinks=AWAY if away else SINK))
    assert play(looks, restarts) == play(looks)


def test_a_target_that_left_the_rules_is_over_and_a_room_that_is_silent_says_nothing():
    raised = [look(NOW, sinks=AWAY), look(NOW + 121, sinks=AWAY)]
    gone = [look(NOW + 200, sinks="other 1\n"), look(NOW + 300, sinks="other 1\n")]
    assert [each.rpartition("/")[2] for each in play([*raised, *gone])] == ["raised", "recovered"]
    silent = [look(NOW + 200, sinks=None), look(NOW + 220, sinks=None)]
    assert [each.rpartition("/")[2] for each in play([*raised, *silent])] == ["raised"]


def api(*, stream=0, catch_up=0, breaker=0):
    """Return what the page of the stream says of the API, and that of the catch-up."""
    return {
        "stream": f"tocsin_stream_api_key_refused {stream}\ntocsin_stream_breaker_open {breaker}\n",
        "stream-2": f"tocsin_catch_up_api_key_refused {catch_up}\n",
    }


def test_a_breaker_is_told_beside_a_key_that_only_the_catch_up_is_refused():
    assert bad(look(**api(catch_up=1, breaker=1))) == {"api_key_refused", "breaker_open"}


def test_a_breaker_that_is_open_because_of_the_key_is_not_told_when_the_key_is_good_again():
    steps = [(0, 0), (5, 1), (400, 1), (405, 0), (500, 0), (526, 0)]
    told = play([look(NOW + at, **api(stream=refused, breaker=1)) for at, refused in steps])
    assert [each.split("/")[1:] for each in told] == [
        ["api_key_refused", str(int(NOW + 5) * 1000), "raised"],
        ["api_key_refused", str(int(NOW + 5) * 1000), "recovered"],
        ["breaker_open", str(int(NOW + 405) * 1000), "raised"],
    ]


def test_a_breaker_that_was_told_is_not_over_because_the_key_is_refused_too():
    steps = [(0, 0, 1), (121, 0, 1), (130, 1, 1), (400, 1, 1), (410, 0, 0), (500, 0, 0)]
    told = play([look(NOW + at, **api(stream=refused, breaker=breaker)) for at, refused, breaker in steps])
    assert [each.split("/")[3] for each in told if "/breaker_open/" in each] == ["raised", "recovered"]


@pytest.mark.parametrize(
    ("before", "after", "title"),
    [
        ([Lag("analytics", 3, 400.0)], [], "Not watched any more: analytics is late"),
        ([Lag("analytics", 3, 400.0)], [Lag("analytics", 0, None)], "analytics has caught up"),
    ],
)
def test_a_late_group_that_nobody_reads_for_has_not_caught_up(before, after, title):
    memory, told = Memory(), []
    for at, lags in ((0, before), (121, before), (200, after), (300, after)):
        memory.take(look(NOW + at, kafka=KafkaSaid(Letters({0: 7}), lags)), SETTINGS)
        memory.save(Path("memory"), memory.encoded())
        memory = Memory.load(Path("memory"))
        told = [change.event().event.attributes for change in memory.untold]
    assert [each["title"] for each in told] == ["analytics is late", title]
    assert told[1]["description"].startswith("Nobody reads for it") == (not after)


def test_a_file_that_is_none_is_said():
    Path("memory").mkdir()
    (Path("memory") / "state.json").write_text("{]")
    with pytest.raises(NotReady, match="remove it"):
        Memory.load(Path("memory"))
