"""The chaos runner: what it draws, what it counts, and that it fails when it must."""

import asyncio
import os
import sys
from collections import Counter
from dataclasses import replace
from itertools import islice
from random import Random

import orjson
import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from events.headers import RawHeaders
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from events.settings import KafkaSettings
from sandbox import chaos_plan, journal, oracle, sabotage
from sandbox.chaos_feed import Delivery, Feed, delivered
from sandbox.chaos_group import moved_on, read
from sandbox.chaos_report import GOOD, PROVED_NOTHING, WRONG, Result
from sandbox.evidence import Enriched, Evidence, Letter, Raw
from sandbox.journal import Journal, Sent
from sandbox.oracle import Verdict
from sandbox.supervisor import Process, Supervisor
from sandbox.tenant import Tenant


@pytest.mark.parametrize("name", chaos_plan.TRACKS)
def test_a_seed_draws_the_same_faults_again_and_another_one_others(name):
    def drawn(seed):
        return list(islice(chaos_plan.faults(seed, name), 50))

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)
    assert {fault.kind for fault in drawn(7)} == set(chaos_plan.TRACKS[name].kinds)


def test_the_first_worker_fault_is_a_zombie_so_that_short_runs_have_one():
    assert [next(chaos_plan.faults(seed, "workers")).kind for seed in range(20)] == ["zombie"] * 20


def test_a_ten_minute_run_draws_more_than_five_zombies():
    for seed in range(30):
        time, zombies = 0.0, 0
        for fault in chaos_plan.faults(seed, "workers"):
            time += fault.after + (45 if fault.kind == "zombie" else 10 + fault.lasts)
            if time > 600:
                break
            zombies += fault.kind == "zombie"
        assert zombies >= 5


def member(name, *partitions, topic="raw"):
    assignment = ConsumerProtocolMemberAssignment(0, [(topic, list(partitions))], b"")
    return {"member_id": name, "member_assignment": assignment.encode()}


def test_owners_are_read_from_the_brokers_answer():
    group = {"state": "Stable", "members": [member("a", 0, 2), member("b", 1), member("c", 7, topic="other")]}
    assert read(group, "raw") == {"a": {0, 2}, "b": {1}, "c": set()}


def test_nobody_owns_anything_while_the_group_rebalances():
    assert read({"state": "PreparingRebalance", "members": []}, "raw") is None
    assert read({"state": "Stable", "members": [{"member_id": "a", "member_assignment": b""}]}, "raw") == {"a": set()}


@pytest.mark.parametrize(
    ("owners", "held", "is_zombie"),
    [
        ({"b": {0, 1, 2}}, {0, 2}, True),
        ({"b": {0}, "c": {1, 2}}, {0, 2}, True),
        (None, {0, 2}, False),  # in the middle of a rebalance
        ({"a": {0, 2}, "b": {1}}, {0, 2}, False),  # not thrown out yet
        ({"b": {0, 1}}, {0, 2}, False),  # nobody has taken 2 over
        ({"b": {0, 1, 2}}, set(), False),  # it held nothing
    ],
)
def test_a_zombie_counts_only_when_others_own_what_it_held(owners, held, is_zombie):
    assert moved_on(owners, "a", frozenset(held)) is is_zombie


def result(**changes):
    verdict = Verdict(unique=100, **{k: changes.pop(k) for k in list(changes) if k in Verdict.__annotations__})
    return Result(verdict, **({"duration": 60.0, "faults": Counter(kill=3, zombie=2), "zombies": 2} | changes))


def test_a_good_run_says_so_in_one_line():
    good = result(max_requests=5)
    assert good.code == GOOD
    assert good.line() == (
        "faults=5 zombies=2 missing=0 invented=0 doubled=0 reordered=0 max_requests_in_any_1s=5 blocks=0"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"missing": ["a"]},
        {"invented": ["a"]},
        {"doubled": ["a"]},
        {"reordered": ["a"]},
        {"pending": 1},
        {"blocks": 1},
        {"max_requests": 6},
        {"left": 1},
        {"left": -1},
    ],
)
def test_anything_wrong_fails_the_run_and_is_said(changes):
    bad = result(**changes)
    assert bad.code == WRONG
    assert any(line.startswith("WRONG: ") for line in bad.lines())


def test_ten_minutes_without_five_zombies_prove_nothing():
    assert result(duration=600.0, zombies=5).code == GOOD
    few = result(duration=600.0, zombies=4)
    assert few.code == PROVED_NOTHING
    assert "4 zombies in 600 s, 5 are needed" in list(few.lines())[-1]
    assert result(duration=600.0, zombies=0, missing=["a"]).code == WRONG


def test_nothing_sent_proves_nothing():
    assert Result(Verdict(), 30.0).code == PROVED_NOTHING


def test_the_feed_holds_everything_a_stream_must_bear(tmp_path):
    with Journal(tmp_path / "journal") as written:
        feed = Feed(kafka_nowhere(), Tenant(1), written, Random(1), 100)
        drawn: list[Delivery] = [feed._next() for _ in range(3000)]
    values = Counter(each.value for each in drawn)
    headers = [dict(each.headers) for each in drawn if each.headers]
    assert values[None] > 0, "tombstones"
    assert sum(1 for each in drawn if not each.headers and each.value is not None) > 20, "undecodable"
    assert sum(count > 1 for value, count in values.items() if value) > 200, "duplicates"
    assert len({each["delivery-id"] for each in headers}) == len(headers), "every delivery has its own id"
    keys = Counter(each.key for each in drawn if each.headers)
    assert sum(count > 3 for count in keys.values()) > 50, "several events about one alert"
    assert {each["event-id-kind"] for each in headers} >= {b"content", b"delivery"}


def kafka_nowhere():
    return KafkaSettings(bootstrap_servers="127.0.0.1:1")


def test_what_is_noted_together_is_on_disk_after_the_block(tmp_path):
    path = tmp_path / "journal"
    with Journal(path) as written:
        with written.together():
            written.trying(b"a")
            written.trying(b"b", straight=True)
        written.sync()
        assert journal.read(path).keys() == {b"a", b"b"}
        written.acknowledged(b"a")
        assert journal.read(path)[b"a"].acknowledged == 1


@pytest.mark.parametrize(
    ("how", "word"), [("drop", "missing"), ("double", "doubled"), ("invent", "invented"), ("reorder", "reordered")]
)
def test_every_sabotage_fails_the_run(how, word):
    sent, found = honest_run()
    good = Result(oracle.judge(sent, found, targets=False), 60.0)
    assert good.code == GOOD
    sabotage.spoil(found, how, Random(7))
    bad = Result(oracle.judge(sent, found, targets=False), 60.0)
    assert bad.code == WRONG
    assert f"{word}=0" not in bad.line()


def test_a_letter_that_is_lost_or_doubled_fails_the_run():
    sent, found = honest_run()
    letter = found.letters.pop()
    assert "missing=1" in Result(oracle.judge(sent, found, targets=False), 60.0).line()
    found.letters += [letter, letter]
    assert "doubled=1" in Result(oracle.judge(sent, found, targets=False), 60.0).line()


def test_a_record_in_another_partition_than_raw_has_it_is_out_of_order():
    sent, found = honest_run()
    found.enriched[3] = replace(found.enriched[3], partition=1)
    assert "reordered=1" in Result(oracle.judge(sent, found, targets=False), 60.0).line()


def test_an_event_with_the_alert_of_another_one_is_invented():
    sent, found = honest_run()
    event = found.enriched[3].event.model_copy(update={"alert": {"uuid": "of another"}})
    found.enriched[3] = replace(found.enriched[3], event=event)
    assert "invented=1" in Result(oracle.judge(sent, found, targets=False), 60.0).line()


def honest_run(count=10):
    """Return journal and evidence of a run in which all went well: events, and one undecodable record."""
    sent, found = {}, Evidence()
    for number in range(count):
        body = orjson.dumps(
            {
                "type": "alert",
                "action": "created",
                "attributes": {"uuid": f"u{number}"},
                "metadata": {"created_at": f"2026-08-01T00:00:{number:02}Z", "community_uuid": "c"},
            }
        )
        headers = RawHeaders.from_kafka(delivered(body).headers)
        sent[body] = Sent(body, tries=1, acknowledged=1)
        found.raw.append(Raw(0, number, headers.event_id, headers.kind, body))
        event = EnrichedEvent(
            event_id=headers.event_id,
            received_at=headers.received_at,
            event=WebhookEvent.model_validate_json(body),
            alert={"uuid": f"u{number}"},
            enrichment=Enrichment(status="complete"),
        )
        found.enriched.append(Enriched(0, 2 * number, event))
    sent[b"broken"] = Sent(b"broken", tries=1, acknowledged=1, straight=True)
    found.raw.append(Raw(0, count, "", "", b"broken"))
    found.letters.append(Letter("stream", ("raw", 0, count), b"broken"))
    return sent, found


def test_one_process_can_be_asked_to_stop_or_ended_for_good(tmp_path):
    restarts = []

    async def run():
        running = Supervisor(restarts.append)
        argv = (sys.executable, "-S", "-c", "import time; time.sleep(600)")
        await running.start(Process("child", argv, dict(os.environ), tmp_path, tmp_path / "log"))
        first = running.pid("child")
        await asyncio.sleep(0.3)
        running.terminate("child")
        while running.restarts("child") == 0 or not running.pid("child"):
            await asyncio.sleep(0.05)
        assert running.pid("child") != first
        await running.end("child", within=10)
        assert running.pid("child") is None
        await asyncio.sleep(1.2)  # longer than the first pause before a restart
        assert running.pid("child") is None
        await running.stop()

    asyncio.run(run())
    assert len(restarts) == 1
