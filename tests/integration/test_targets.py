"""Where a target goes on: chosen anew, or under another name, on real Kafka."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaProducer

from events.errors import NotReady
from events.topics import Topics
from inbox.lag import Lags
from ops import targets, watch_kafka
from sinks import positions, relocation
from sinks.redeliveries import GROUP

pytestmark = pytest.mark.kafka


@pytest.fixture
def enriched(kafka_settings):
    """The enriched topic with 10,000 records in it."""
    topic = Topics(kafka_settings.topic_prefix).enriched

    async def fill():
        async with AIOKafkaProducer(**kafka_settings.client_options(), linger_ms=5) as producer:
            for number in range(10_000):
                await producer.send(topic, b"{}", str(number).encode())

    asyncio.run(fill())
    return topic


def test_a_new_name_goes_on_where_the_old_one_stopped(kafka_settings, enriched, capsys):
    asyncio.run(positions.prepare(kafka_settings, "soc", enriched, "now"))
    targets.rename(kafka_settings, "soc", "soc-teams")
    assert "soc-teams goes on where soc stopped, 0 waiting" in " ".join(capsys.readouterr().out.split())
    assert asyncio.run(relocation.waiting(kafka_settings, "soc-teams", enriched)) == 0
    asyncio.run(positions.prepare(kafka_settings, "soc-teams", enriched, "earliest"))  # its first start changes nothing
    assert asyncio.run(relocation.waiting(kafka_settings, "soc-teams", enriched)) == 0
    assert asyncio.run(groups(kafka_settings)) == ["soc-teams"]  # the old one would be late until Kafka forgets it


async def groups(kafka, of=None):
    async with Lags(kafka) as lags:
        return [lag.group for lag in await lags.read(of)]


def test_a_target_that_left_the_rules_is_late_only_while_somebody_reads_for_it(kafka_settings, enriched):
    async def scenario():
        for name in ("soc", "gone", "gone-too", "gone-long-ago"):
            await positions.prepare(kafka_settings, name, enriched, "earliest")
        said = [(await watch_kafka.look(kafka_settings, ["soc"], {})).lags]
        consumer = positions.client(kafka_settings, "gone")
        consumer.subscribe([enriched])
        await consumer.start()
        try:
            while not consumer.assignment():
                await asyncio.sleep(0.05)
            said.append((await watch_kafka.look(kafka_settings, ["soc"], {})).lags)
            with pytest.raises(NotReady, match="gone is running"):
                await relocation.forget(kafka_settings, "gone")
        finally:
            await consumer.stop()
        await relocation.forget(kafka_settings, "gone")
        await relocation.forget(kafka_settings, "gone")  # what is not there is no trouble
        return [[lag.group for lag in lags] for lags in said], await groups(kafka_settings)

    said, left = asyncio.run(scenario())
    assert said == [["soc"], ["gone", "soc"]]
    assert left == ["gone-long-ago", "gone-too", "soc"]


def test_a_name_is_kept_while_what_was_sent_again_waits_for_it(kafka_settings, enriched, capsys):
    topic = Topics(kafka_settings.topic_prefix).redeliveries

    async def scenario():
        for name, place in (("soc", enriched), (f"soc.{GROUP}", topic)):
            await positions.prepare(kafka_settings, name, place, "now")
        async with AIOKafkaProducer(**kafka_settings.client_options(), acks="all") as producer:
            for name in ("soc", "soc", "soc-teams", "mail"):
                await producer.send_and_wait(topic, b"{}", b"a1", headers=[("target", name.encode())])

    asyncio.run(scenario())
    with pytest.raises(NotReady, match="2 records that were sent again wait for soc"):
        targets.rename(kafka_settings, "soc", "soc-teams")
    asyncio.run(relocation.reset(kafka_settings, f"soc.{GROUP}", topic, "now"))  # as when it has taken them
    targets.rename(kafka_settings, "soc", "soc-teams")
    assert "redrive --target soc --to soc-teams" in " ".join(capsys.readouterr().out.split())
    assert asyncio.run(targets.sent_again(kafka_settings, "soc-teams")) == 1


def test_a_name_that_has_a_place_or_an_old_one_without_is_refused(kafka_settings, enriched):
    with pytest.raises(NotReady, match="soc has no place"):
        targets.rename(kafka_settings, "soc", "other")
    for name in ("soc", "other"):
        asyncio.run(positions.prepare(kafka_settings, name, enriched, "now"))
    with pytest.raises(NotReady, match="other has a place"):
        targets.rename(kafka_settings, "soc", "other")


def test_a_target_is_set_elsewhere_only_when_asked_twice(kafka_settings, enriched, capsys):
    targets.reset(kafka_settings, "soc", "earliest", yes=False)
    assert "Nothing is done without --yes" in capsys.readouterr().out
    assert asyncio.run(relocation.waiting(kafka_settings, "soc", enriched)) is None
    for start, left in (("earliest", 10_000), ("now", 0), (datetime.now(UTC) - timedelta(hours=1), 10_000)):
        targets.reset(kafka_settings, "soc", start, yes=True)
        assert asyncio.run(relocation.waiting(kafka_settings, "soc", enriched)) == left


def test_a_target_that_runs_is_left_where_it_is(kafka_settings, enriched):
    async def scenario():
        await positions.prepare(kafka_settings, "soc", enriched, "now")
        consumer = positions.client(kafka_settings, "soc")
        consumer.subscribe([enriched])
        await consumer.start()
        try:
            while not consumer.assignment():
                await asyncio.sleep(0.05)
            assert await relocation.members(kafka_settings, "soc") == 1
            with pytest.raises(NotReady, match="soc is running"):
                await relocation.reset(kafka_settings, "soc", enriched, "earliest")
            with pytest.raises(NotReady, match="soc is running"):
                await relocation.rename(kafka_settings, "soc", "other", enriched)
        finally:
            await consumer.stop()

    asyncio.run(scenario())


def test_the_list_names_each_target_of_the_rules(kafka_settings, enriched, capsys, monkeypatch):
    monkeypatch.setenv("TEAMS_WEBHOOK_URL", "https://example.invalid/hook")
    asyncio.run(positions.prepare(kafka_settings, "teams", enriched, "earliest"))
    targets.show(kafka_settings)
    line = capsys.readouterr().out.splitlines()[-1].split()
    assert line[:4] == ["teams", "teams", "none", "10,000"]


def test_a_target_that_is_no_more_is_forgotten_when_asked_twice(kafka_settings, enriched, capsys, monkeypatch):
    monkeypatch.setenv("TEAMS_WEBHOOK_URL", "https://example.invalid/hook")
    asyncio.run(positions.prepare(kafka_settings, "gone", enriched, "earliest"))
    with pytest.raises(NotReady, match="teams is in the rules file"):
        targets.forget(kafka_settings, "teams", yes=True)
    targets.forget(kafka_settings, "gone", yes=False)
    assert "10,000 waiting" in capsys.readouterr().out
    assert asyncio.run(groups(kafka_settings)) == ["gone"]
    targets.forget(kafka_settings, "gone", yes=True)
    assert asyncio.run(groups(kafka_settings)) == []
    with pytest.raises(NotReady, match="knows no target gone"):
        targets.forget(kafka_settings, "gone", yes=True)
