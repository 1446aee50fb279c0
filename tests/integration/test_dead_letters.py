"""Dead letters on real Kafka: seen by cause, sent again once whatever is killed, dropped, and delivered to their target."""

import asyncio
import json
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalOperation, ProducerFenced

from events.codec import decode_receipt, encode
from events.errors import NotReady
from events.headers import DeadLetter, originals
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from events.topics import Topics
from ops import dead_letters, doctor_letters, redrive
from ops.findings import Asked
from ops.letters import KEPT, Place, Wanted
from ops.redrive import Desk, Overtaken, look
from ops.scan import scan
from sinks import shelf
from sinks.destination import Delivered, Destination, TargetSettings
from sinks.rules import Rule, Rules, Target
from sinks.target import TargetRun

pytestmark = pytest.mark.kafka

OWN = [("event-id", b"c/1"), ("event-id-kind", b"uuid"), ("received-at", b"2026-07-29T08:00:00.000000+00:00")]


def quiet(*_):
    pass


def event(event_id="c/9"):
    return EnrichedEvent(
        event_id=event_id,
        received_at=datetime.now(UTC),
        event=WebhookEvent(type="alert", action="created", attributes={"uuid": "a1"}),
        enrichment=Enrichment(status="not_applicable"),
    )


async def bury(kafka, *letters):
    """Write letters as stream and sinks do: (stage, target, value)."""
    async with AIOKafkaProducer(**kafka.client_options(), acks="all") as producer:
        for stage, target, value in letters:
            headers = DeadLetter(stage, "status 400", "somewhere", 0, 1, target).to_kafka()
            headers += originals(OWN) if stage == "stream" else []
            await producer.send_and_wait(Topics(kafka.topic_prefix).dead_letters, value, b"a1", headers=headers)


async def read(kafka, topic):
    return [record async for record in scan(kafka, topic)]


async def settle(kafka, fate, wanted=None):
    async with Desk(kafka) as desk:
        return await desk.settle(wanted or Wanted(), fate, quiet, quiet)


def test_a_letter_of_the_stream_goes_back_to_raw_as_it_was_and_only_once(kafka_settings):
    async def scenario():
        await bury(kafka_settings, ("stream", "", b'{"type": "alert"'))
        assert await settle(kafka_settings, "redriven") == 1
        assert await settle(kafka_settings, "redriven") == 0
        (raw,) = await read(kafka_settings, Topics(kafka_settings.topic_prefix).raw)
        assert (raw.key, raw.value, list(raw.headers)) == (b"a1", b'{"type": "alert"', OWN)
        assert (await look(kafka_settings, quiet)).open(Wanted()) == []

    asyncio.run(scenario())


def test_dropped_letters_go_nowhere_and_are_listed_no_more(kafka_settings):
    async def scenario():
        await bury(kafka_settings, *[("sink", "soc", encode(event()))] * 250, ("sink", "mail", b"x"))
        assert await settle(kafka_settings, "dropped", Wanted(target="soc")) == 250
        names = Topics(kafka_settings.topic_prefix)
        assert await read(kafka_settings, names.redeliveries) == []
        assert [each.target for each in (await look(kafka_settings, quiet)).open(Wanted())] == ["mail"]

    asyncio.run(scenario())


def test_two_who_redrive_at_once_send_each_letter_once(kafka_settings):
    async def scenario():
        await bury(kafka_settings, *[("sink", "soc", encode(event()))] * 300)
        async with Desk(kafka_settings) as first:
            assert await settle(kafka_settings, "redriven") == 300
            # The first one had looked before, in effect: what it read of the ledger is of no use any more.
            stale = await look(kafka_settings, quiet)
            stale.fates.clear()
            records = await read(kafka_settings, Topics(kafka_settings.topic_prefix).dead_letters)
            with pytest.raises(Overtaken, match="Somebody else"):
                await first._write([each for each in records if each.value][:10], "redriven")
        assert len(await read(kafka_settings, Topics(kafka_settings.topic_prefix).redeliveries)) == 300

    asyncio.run(scenario())


def test_killed_in_the_middle_it_leaves_letter_and_ledger_in_one_state(kafka_settings, monkeypatch):
    async def scenario():
        await bury(kafka_settings, *[("sink", "soc", encode(event()))] * 250)
        desk = await Desk(kafka_settings).__aenter__()
        commit, commits, reached = desk._producer.commit_transaction, [], asyncio.Event()

        async def stuck():
            commits.append(1)
            if len(commits) == 2:  # the records of the second batch are with the broker, their commit is not
                reached.set()
                await asyncio.Event().wait()
            await commit()

        monkeypatch.setattr(desk._producer, "commit_transaction", stuck)
        first = asyncio.create_task(desk.settle(Wanted(), "redriven", quiet, quiet))
        await reached.wait()
        # As after kill -9: the transaction is open, and nobody is there to end it but the next one's fence.
        assert await settle(kafka_settings, "redriven") == 150
        assert len(await read(kafka_settings, Topics(kafka_settings.topic_prefix).redeliveries)) == 250
        first.cancel()
        with pytest.raises((asyncio.CancelledError, ProducerFenced, IllegalOperation)):
            await first
        await desk._producer.stop()

    asyncio.run(scenario())


def test_a_transaction_that_hides_the_ledger_is_waited_for(kafka_settings, monkeypatch):
    async def scenario():
        topic = Topics(kafka_settings.topic_prefix).dead_letters
        await bury(kafka_settings, ("sink", "soc", encode(event())))
        stream = AIOKafkaProducer(**kafka_settings.client_options(), transactional_id=f"{topic}-stream")
        await stream.start()
        await stream.begin_transaction()
        headers = DeadLetter("sink", "status 400", "somewhere", 0, 2, "soc").to_kafka()
        await stream.send_and_wait(topic, encode(event("c/hidden")), b"a1", headers=headers)
        monkeypatch.setattr(redrive, "OPEN_FOR", 1.0)
        with pytest.raises(NotReady, match="hides what was dealt with"):
            await settle(kafka_settings, "redriven")
        await stream.commit_transaction()
        await stream.stop()
        assert await settle(kafka_settings, "redriven") == 2
        assert await settle(kafka_settings, "redriven") == 0

    asyncio.run(scenario())


def test_a_redriven_letter_reaches_its_target_only_once_and_has_a_receipt(kafka_settings, monkeypatch):
    sent = []

    class Scripted(Destination[TargetSettings]):
        """Take everything."""

        Settings = TargetSettings

        async def deliver(self, event):
            sent.append(event.event_id)
            return Delivered("taken")

    monkeypatch.setattr(shelf, "find", lambda _type: Scripted)
    never = Rule.model_validate({"name": "r", "match": {"type": "report"}, "notify": "soc"})

    async def run_until(count):
        names = Topics(kafka_settings.topic_prefix)
        run = TargetRun(
            kafka_settings,
            Rules([never], {"soc": Target("soc", "scripted", TargetSettings())}, "v1"),
            Target("soc", "scripted", TargetSettings()),
            "now",
        )
        task = asyncio.create_task(run.run())
        async with asyncio.timeout(60):
            while (
                len(receipts := [decode_receipt(each.value) for each in await read(kafka_settings, names.deliveries)])
                < count
            ):
                await asyncio.sleep(0.2)
        run.stop()
        await task
        return receipts

    async def scenario():
        ids = [f"c/{uuid.uuid4()}" for _ in range(3)]
        # A sink that is killed between a letter and its receipt buries the event twice.
        twice = [("sink", "soc", encode(event(each))) for each in [*ids, ids[0]]]
        await bury(kafka_settings, *twice, ("sink", "mail", encode(event())), ("sink", "soc", b"{"))
        assert await settle(kafka_settings, "redriven") == 6
        await run_until(4)
        await bury(kafka_settings, ("sink", "soc", encode(event("c/last"))))
        await settle(kafka_settings, "redriven", Wanted(reason="status 400"))
        receipts = await run_until(5)  # a second start sends nothing twice
        assert sent == [*ids, "c/last"]
        assert Counter((each.target, each.outcome) for each in receipts) == {
            ("soc", "delivered"): 4,
            ("soc", "dead_letter"): 1,
        }
        (back,) = (await look(kafka_settings, quiet)).open(Wanted())
        assert back.reason.startswith("malformed")
        assert all(each.replay_id for each in receipts)

    asyncio.run(scenario())


def test_letters_of_a_target_that_the_rules_do_not_have_stay_or_go_to_another(kafka_settings, capsys, monkeypatch):
    monkeypatch.setenv("TEAMS_WEBHOOK_URL", "https://example.invalid/hook")
    asyncio.run(bury(kafka_settings, *[("sink", "soc", encode(event()))] * 3, ("sink", "teams", encode(event()))))
    dead_letters.settle(kafka_settings, Wanted(), "redriven", yes=True)
    said = " ".join(capsys.readouterr().out.split())
    assert "the rules have no target soc, so nobody would read what is sent to it" in said
    assert "1 letters redriven" in said
    with pytest.raises(NotReady, match="There is no target 'tems'"):
        dead_letters.settle(kafka_settings, Wanted(), "redriven", yes=True, to="tems")
    dead_letters.settle(kafka_settings, Wanted(), "redriven", yes=True, to="teams")
    sent = asyncio.run(read(kafka_settings, Topics(kafka_settings.topic_prefix).redeliveries))
    assert [dict(each.headers)["target"] for each in sent] == [b"teams"] * 4


def test_the_doctor_minds_open_letters_that_leave_soon(kafka_settings, monkeypatch):
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_settings.bootstrap_servers)
    monkeypatch.setenv("KAFKA_TOPIC_PREFIX", kafka_settings.topic_prefix)
    topic = Topics(kafka_settings.topic_prefix).dead_letters
    old = int((datetime.now(UTC) - KEPT + timedelta(days=2.5)).timestamp() * 1000)

    async def found():
        return [(each.state, each.found) async for each in doctor_letters.look(Asked())]

    async def scenario():
        assert [state for state, _ in await found()] == ["well"]
        async with AIOKafkaProducer(**kafka_settings.client_options(), acks="all") as producer:
            headers = DeadLetter("sink", "status 400", "somewhere", 0, 1, "mail").to_kafka()
            await producer.send_and_wait(topic, b"{}", b"a1", headers=headers, timestamp_ms=old)
        await bury(kafka_settings, ("sink", "soc", encode(event())))
        ((state, said),) = await found()
        assert (state, said[:14], said[-3:]) == ("warning", "1 open dead le", "2.5")
        assert await settle(kafka_settings, "dropped", Wanted(target="mail")) == 1
        assert [state for state, _ in await found()] == ["well"]

    asyncio.run(scenario())


def test_the_commands_show_what_there_is_and_do_nothing_unasked(kafka_settings, capsys):
    async def scenario():
        await bury(
            kafka_settings, ("sink", "soc", encode(event())), ("stream", "", b"\x1b[2J{"), ("sink", "archive", b"{")
        )

    asyncio.run(scenario())
    dead_letters.show_causes(kafka_settings, Wanted(), as_json=True)
    assert {each["target"]: each["count"] for each in json.loads(capsys.readouterr().out)} == {
        "soc": 1,
        "": 1,
        "archive": 1,
    }
    assert dead_letters.settle(kafka_settings, Wanted(), "redriven", yes=False) == 0
    said = capsys.readouterr().out
    assert "2 letters would be redriven. Nothing is done without --yes." in said
    assert "have no way back" in said
    stream = asyncio.run(look(kafka_settings, quiet)).open(Wanted(stage="stream"))[0]
    dead_letters.show_one(kafka_settings, stream.place)
    shown = capsys.readouterr().out
    assert "original-event-id" in shown
    assert "\x1b[2J" not in shown
    with pytest.raises(Exception, match="There is no letter 3/99"):
        dead_letters.show_one(kafka_settings, Place(3, 99))
