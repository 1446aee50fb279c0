"""One partition between a pretended Kafka and a pretended API: once, in order, and never before its marks are in."""

import asyncio
import importlib.util
import itertools
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from events.headers import as_text
from stream import checkpoint
from stream.checkpoint import Stored
from stream.partition import AHEAD


def _load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


virtual_time, pretended = _load("virtual_time"), _load("pretended_partition")
START, TOPICS, WINDOW, Site, alert = (
    pretended.START,
    pretended.TOPICS,
    pretended.WINDOW,
    pretended.Site,
    pretended.alert,
)


def check(scenario):
    virtual_time.run(scenario())


def test_nothing_is_handled_before_the_marks_are_in():
    async def scenario():
        site = Site()
        site.restore.clear()
        async with site.running() as partition:
            site.put(alert(1))
            await asyncio.sleep(100)
            assert not partition.ready
            assert not site.kafka.enriched()
            site.restore.set()
            await asyncio.sleep(5)
            assert partition.ready
            assert len(site.kafka.enriched()) == 1

    check(scenario)


def test_records_are_written_once_in_order_and_acknowledged_in_order():
    async def scenario():
        site = Site()
        async with site.running():
            bodies = [alert(number, "updated") for number in range(60)]
            site.put(*bodies, b"broken", None, *bodies, alert(1, "deleted"))
            await asyncio.sleep(10)
        found = [event.event.short_id for event in site.kafka.enriched()]
        assert found == [*(f"AL{number}" for number in range(60)), "AL1"]
        assert site.kafka.acked == list(range(123))
        letters = [as_text(output.headers) for output in site.kafka.topics[TOPICS.dead_letters]]
        assert [letter["source-offset"] for letter in letters] == ["60", "61"]
        assert site.kafka.transactions < 10, "a finished group is one transaction"

    with capture_logs() as logs:
        check(scenario)
    buried = [line for line in logs if line["event"] == "dead_letter"]
    assert [line["event_id"] for line in buried] == [None, None]  # nor has it headers to say


def test_the_log_names_what_is_buried_by_the_id_ingest_gave_it():
    async def scenario():
        site = Site()
        async with site.running():
            site.put({"type": 7}, event_id="c/1")
            await asyncio.sleep(10)

    with capture_logs() as logs:
        check(scenario)
    assert [line["event_id"] for line in logs if line["event"] == "dead_letter"] == ["c/1"]


def test_what_was_not_written_is_not_acknowledged_and_not_in_the_checkpoint(monkeypatch):
    monkeypatch.setattr(checkpoint, "MARKS", 1)

    async def scenario():
        site = Site()
        async with site.running():
            site.put(alert(1))
            await asyncio.sleep(5)
            site.kafka.open.clear()
            site.put(*(alert(number) for number in range(2, 9)))
            await asyncio.sleep(5)
            assert site.kafka.acked == [0]
        stored = Stored()
        for output in site.kafka.topics[TOPICS.marks]:
            stored.put(output.key, output.value)
        head = stored.head(0)
        assert sum(segment.count for segment in head.segments) == 2, "the event and that its alert was created"
        assert head.enriched == 1

    check(scenario)


def test_a_clock_moved_60_hours_between_write_and_commit_doubles_nothing():
    async def scenario():
        site = Site()
        bodies = [alert(number) for number in range(20)]
        async with site.running():
            site.put(*bodies, at=START)
            await asyncio.sleep(5)
            site.now += timedelta(hours=60)
            site.put(alert(50), at=START)
            await asyncio.sleep(5)
            site.put(*bodies, at=START)
            await asyncio.sleep(5)
        async with site.running():  # the commits were lost, the records come again
            site.put(*bodies, alert(50), at=START)
            await asyncio.sleep(5)
        assert len(site.kafka.enriched()) == 21
        assert len(site.kafka.acked) == 20 + 21 + 21

    check(scenario)


def test_a_caught_up_alert_and_its_late_webhook_are_one_event_whichever_comes_first():
    async def scenario():
        site = Site()
        caught = {"origin": "catch-up"}
        ids = {number: f"created:{uuid.UUID(int=7)}/{uuid.UUID(int=number)}" for number in (1, 2)}
        async with site.running():
            site.put(alert(1), event_id=ids[1], **caught)
            site.put(alert(1))
            site.put(alert(2))
            site.put(alert(2), event_id=ids[2], **caught)
            await asyncio.sleep(5)
        async with site.running():
            site.put(alert(1))
            site.put(alert(2), event_id=ids[2], **caught)
            site.put(alert(1002))  # another webhook about a new alert is another event
            await asyncio.sleep(5)
        assert [event.event.short_id for event in site.kafka.enriched()] == ["AL1", "AL2", "AL1002"]
        assert len(site.kafka.acked) == 7

    check(scenario)


def test_pending_events_are_completed_once_by_whoever_owns_the_partition_then():
    async def scenario():
        site = Site()
        site.api.away = True
        async with site.running():
            site.put(*(alert(number) for number in range(5)))
            await asyncio.sleep(8)
            assert {event.enrichment.status for event in site.kafka.enriched()} == {"pending"}
            assert site.partition.pending == 5
        site.api.away = False
        async with site.running():
            await asyncio.sleep(30)
            assert site.partition.pending == 0
        async with site.running():
            await asyncio.sleep(30)
        assert sorted(event.revision for event in site.kafka.enriched()) == [0] * 5 + [1] * 5
        assert all(event.alert["title"] == "T" for event in site.kafka.enriched() if event.revision)

    check(scenario)


def test_an_alert_that_is_not_readable_yet_is_asked_for_after_2_5_and_10_seconds_and_completed():
    async def scenario():
        site = Site()
        loop = asyncio.get_running_loop()
        hidden = str(uuid.UUID(int=5))
        site.api.unknown.add(hidden)
        asked, listed = [], site.api.listed

        async def noted(uuids):
            if hidden in uuids:
                asked.append(loop.time())
            return await listed(uuids)

        site.api.listed = noted
        async with site.running():
            await asyncio.sleep(1)
            site.put(alert(5), at=START + timedelta(seconds=1))
            await asyncio.sleep(17)
            assert [event.enrichment.status for event in site.kafka.enriched()] == ["pending"]
            assert site.kafka.enriched()[0].enrichment.reason == "not shown by the Alert API yet"
            site.api.unknown.clear()
            await asyncio.sleep(25)
        gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
        # Twice within the deadline of the event itself; then the pending one asks with pauses of its own.
        assert gaps[0] == pytest.approx(2.0, abs=0.3)
        assert gaps[-3:] == pytest.approx([2.0, 5.0, 10.0], abs=0.5)
        assert [event.revision for event in site.kafka.enriched()] == [0, 1]
        assert site.kafka.enriched()[1].alert["title"] == "T"
        assert [event.enrichment.attempts for event in site.kafka.enriched()] == [2, len(asked)]

    check(scenario)


def test_an_event_waits_for_its_deadline_and_its_partition_no_longer():
    async def scenario():
        site = Site()
        async with site.running():
            await asyncio.sleep(2)
            site.api.latency = 60.0
            loop = asyncio.get_running_loop()
            site.put(alert(1), alert(2, kind="intake"), at=START + timedelta(seconds=2))
            while len(site.kafka.acked) < 2:
                await asyncio.sleep(0.05)
            assert loop.time() == pytest.approx(5.0, abs=0.2)
        assert [event.enrichment.status for event in site.kafka.enriched()] == ["pending", "not_applicable"]

    check(scenario)


def test_an_event_that_waits_holds_back_its_own_alert_only_and_a_new_owner_doubles_nothing():
    async def scenario():
        site = Site()
        site.api.unknown.add(str(uuid.UUID(int=5)))

        def put_all():
            site.put(alert(5), alert(5, "updated"), at=START, key=b"5")
            site.put(alert(6), alert(5), at=START, key=b"6")  # the last one was seen, though it is not written yet
            site.put(alert(7), at=START, key=b"7")

        async with site.running():
            put_all()
            await asyncio.sleep(1)
            assert [event.event.short_id for event in site.kafka.enriched()] == ["AL6", "AL7"]
            assert site.kafka.acked == []
        async with site.running():  # killed while the first one waited: all of them come again
            put_all()
            await asyncio.sleep(5)
        found = [(event.event.short_id, event.event.action) for event in site.kafka.enriched()]
        assert found == [("AL6", "created"), ("AL7", "created"), ("AL5", "created"), ("AL5", "updated")]
        assert site.kafka.acked == list(range(10))

    check(scenario)


def test_thousands_pass_an_event_that_waits():
    async def scenario():
        site = Site()
        site.api.unknown.add(str(uuid.UUID(int=5)))
        async with site.running():
            site.put(alert(5), at=START, key=b"5")
            site.put(*(alert(number, kind="intake") for number in range(3 * AHEAD)), at=START)
            await asyncio.sleep(1)
            assert len(site.kafka.enriched()) == 3 * AHEAD
            assert site.kafka.acked == []
            await asyncio.sleep(4)
            assert len(site.kafka.acked) == 3 * AHEAD + 1

    check(scenario)


def test_a_copy_in_another_hosts_spool_is_known_however_old_it_is():
    """Two hosts spool through an outage of a weekend, and drain one after the other."""

    async def scenario():
        site = Site()
        site.now = START + timedelta(hours=61)
        async with site.running():
            for hours in (0, 30, 61):  # the first host's spool
                site.put(alert(100 + hours), at=START + timedelta(hours=hours))
            await asyncio.sleep(5)
            site.put(alert(100), at=START + timedelta(seconds=1))  # the second one's copy of the first
            await asyncio.sleep(5)
        assert [event.event.short_id for event in site.kafka.enriched()] == ["AL100", "AL130", "AL161"]

    check(scenario)


def test_an_event_of_a_host_whose_clock_is_ahead_waits_no_longer_than_others():
    async def scenario():
        site = Site()
        site.api.unknown.add(str(uuid.UUID(int=5)))
        async with site.running():
            await asyncio.sleep(1)
            site.put(alert(5), at=START + timedelta(seconds=61))
            site.put(alert(6), at=START + timedelta(seconds=61), key=b"6")
            await asyncio.sleep(1)
            assert [event.enrichment.status for event in site.kafka.enriched()] == ["complete"]
            site.put(alert(6, "updated"), at=START + timedelta(seconds=2), key=b"6")
            await asyncio.sleep(3)
        found = [(event.event.short_id, event.enrichment.status) for event in site.kafka.enriched()]
        assert sorted(found) == [("AL5", "pending"), ("AL6", "complete"), ("AL6", "complete")]

    check(scenario)


def test_fetching_is_paused_when_much_waits_and_resumed_when_it_is_done():
    async def scenario():
        site = Site()
        async with site.running():
            site.kafka.open.clear()
            site.put(*(alert(number, kind="intake") for number in range(AHEAD + 1)))
            await asyncio.sleep(5)
            assert site.paused == [True]
            site.kafka.open.set()
            await asyncio.sleep(5)
            assert site.paused == [True, False]
            assert len(site.kafka.acked) == AHEAD + 1

    check(scenario)
