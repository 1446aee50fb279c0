"""A command's share: silent with the stream, and heard by it when the vendor answered an error."""

import asyncio

import pytest

from events.errors import NotReady
from events.settings import KafkaSettings
from events.slots import OperatorsBudget, Slots
from ops.share import Share, share
from stream.breaker import REST
from stream.gossip import Gossip
from stream.settings import SekoiaSettings

ANYWHERE = KafkaSettings(bootstrap_servers="")


def quick() -> Share:
    """Return a share with hundreds of slots a second."""
    return Share(OperatorsBudget(Slots(450.0), claim=str))


def test_while_the_stream_is_silent_a_command_calls_nobody_and_says_for_how_long():
    async def scenario() -> None:
        one = quick()
        await one.leave()
        one.heard("Alert API: status 503", 30.0)
        with pytest.raises(
            NotReady, match=r"wants silence for \d+ s more \(a worker of the stream: Alert API: status 503\)"
        ):
            await one.leave()

    asyncio.run(scenario())


def test_without_a_cluster_there_is_nobody_to_hear_and_to_tell():
    async def scenario() -> None:
        async with share(SekoiaSettings(api_key="k"), ANYWHERE) as one:
            one.failed("status 401")

    asyncio.run(scenario())


def test_a_cluster_that_does_not_answer_keeps_no_command_from_its_work(monkeypatch):
    monkeypatch.setattr("ops.share.LISTEN", 0.2)

    async def scenario() -> None:
        nowhere = KafkaSettings(bootstrap_servers="127.0.0.1:1")
        async with quick().hearing(nowhere) as one:
            await one.leave()
            one.failed("status 401")

    asyncio.run(asyncio.wait_for(scenario(), 30.0))


@pytest.mark.kafka
def test_a_command_hears_of_a_workers_error_and_the_worker_of_its_own(kafka_settings):
    async def scenario() -> None:
        heard: list[tuple[str, float]] = []
        worker = Gossip(kafka_settings, lambda *word: heard.append(word))
        running = asyncio.create_task(worker.run())
        await worker.up_to_date.wait()
        worker.tell("Alert API: status 503", 300.0)
        await worker.said(running)
        async with quick().hearing(kafka_settings) as command:
            with pytest.raises(NotReady, match="status 503"):
                await command.leave()
            command.failed("status 403")
        async with asyncio.timeout(30.0):
            while not heard:
                await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.wait([running])
        assert [reason for reason, _ in heard] == ["an operator's command: status 403"]
        assert 0 < heard[0][1] <= REST

    asyncio.run(scenario())
