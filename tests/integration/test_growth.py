"""More partitions under a pipeline that runs: duplicates across the growth, and the command killed in the middle of it."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from events.codec import decode_receipt
from events.errors import NotReady
from events.headers import as_text
from events.topics import Topics
from ingest.partitioner import partition_of
from ops import growth, growth_cluster, growth_marks, life_reader, topics
from sandbox.bodies import body
from sandbox.plan import bare_environment
from tests.ingest import processes
from tests.integration.test_stream import COMMUNITY, Api, api, enriched, read, running, wait_for  # noqa: F401

pytestmark = pytest.mark.kafka

ALERTS = 40
MORE = 6
"""Not a multiple of four: keys move between partitions that were there before as well."""
RULES = "targets: {journal: {type: log}}\nrules: [{name: every event, match: all, notify: [journal]}]\n"


class Notes:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)

    def show(self, line: str) -> None:
        self.said.append(line)


def events(action: str) -> list[bytes]:
    """One event of each alert; at a time of its own, so that a repeated one is told by its content."""
    at = time.time_ns() // 1000
    return [
        orjson.dumps(
            body("alert", action, {"uuid": f"00000000-0000-4000-8000-{n:012d}"}, at=at + n, community=COMMUNITY)
        )
        for n in range(ALERTS)
    ]


def more(kafka):
    return kafka.model_copy(update={"partitions": MORE})


def environment(kafka, **extra: str) -> dict[str, str]:
    return (
        bare_environment()
        | {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "KAFKA_PARTITIONS": str(kafka.partitions),
            "TOCSIN_RULES": "tocsin.yml",
        }
        | extra
    )


@contextlib.contextmanager
def target(kafka):
    with Path("sink.log").open("ab") as log:
        settings = environment(kafka, SINKS_ADMIN_PORT="0", SINKS_START="earliest")
        process = subprocess.Popen([sys.executable, "-P", "-m", "ops", "sink"], env=settings, stdout=log, stderr=log)
    try:
        yield
        assert process.poll() is None, Path("sink.log").read_text()
    finally:
        process.terminate()
        process.wait(60)


def told(kafka) -> Counter[str]:
    receipts = read(kafka, Topics(kafka.topic_prefix).deliveries)
    return Counter(decode_receipt(record.value).event_id for record in receipts)


async def post(ingest: processes.Running, contents: list[bytes]) -> None:
    for content in contents:
        assert (await ingest.post(content)).status_code == 200


async def killed(kafka, ended) -> None:
    """Run the command, end the readers when it says so, and kill it as soon as the topics have grown."""
    command = [sys.executable, "-P", "-m", "ops", "topics", "migrate", "--partitions", str(MORE)]
    process = await asyncio.create_subprocess_exec(*command, env=environment(kafka), stderr=asyncio.subprocess.PIPE)
    said = ""
    async for line in process.stderr:
        said += line.decode()
        if "Stop now" in said and ended:
            assert "What was under way is finished." in said
            await ended()
            ended = None
        if b"partitions read" in line:
            process.kill()
            break
    await process.wait()
    assert "partitions read" in said, said


@pytest.mark.long
def test_duplicates_across_the_growth_double_nothing_and_nothing_is_missing(kafka_settings, api):  # noqa: F811
    kafka = kafka_settings
    Path("tocsin.yml").write_text(RULES)
    first, second, third = events("created"), events("updated"), events("status-changed")
    readers = contextlib.ExitStack()

    async def before() -> None:
        async with processes.ingest(kafka) as ingest:
            await post(ingest, first)
            await asyncio.to_thread(wait_for, lambda: len(told(kafka)) == ALERTS)

            async def finished() -> None:
                await post(ingest, first)
                await until(ingest, lambda health: health["spool"]["events"] == ALERTS and "closed" in health["kafka"])
                await asyncio.to_thread(readers.close)

            await killed(kafka, finished)
            assert await growth_cluster.is_closed(kafka)
            await post(ingest, second)
            notes = Notes()
            await growth.migrate(kafka, MORE, ["journal"], timedelta(hours=24), notes, notice=3.0)
            assert any("dedupe marks lie" in line for line in notes.said)
            await post(ingest, third)  # it was not restarted yet, and writes nothing
            say = f"KAFKA_PARTITIONS={MORE}"
            await until(ingest, lambda health: health["spool"]["events"] == 3 * ALERTS and say in health["kafka"])

    async def after() -> None:
        async with processes.ingest(more(kafka)) as ingest:
            await processes.until_drained(ingest)
            await post(ingest, first + second + third)

    async def until(ingest: processes.Running, condition) -> None:
        end = time.monotonic() + 30
        while not condition(health := (await ingest.admin("/healthz")).json()):
            assert time.monotonic() < end, health
            await asyncio.sleep(0.1)

    readers.enter_context(target(kafka))
    readers.enter_context(running(kafka, api, Path("stream.log")))
    with readers:
        asyncio.run(before())
    assert asyncio.run(topics.differences(more(kafka))) == []
    with running(more(kafka), api, Path("stream.log")), target(more(kafka)):
        asyncio.run(after())
        wait_for(lambda: len(read(more(kafka), Topics(kafka.topic_prefix).raw)) >= 7 * ALERTS)
        wait_for(lambda: len(told(more(kafka))) == 3 * ALERTS)
    moved = [n for n in range(ALERTS) if len({partition_of(key(n), each) for each in (4, MORE)}) == 2]
    assert len(moved) > ALERTS // 3, "else the test shows nothing"
    assert set(told(more(kafka)).values()) == {1}
    records = read(more(kafka), Topics(kafka.topic_prefix).enriched)
    written = [as_text(record.headers)["event-id"] for record in records]
    assert (len(written), len(set(written))) == (3 * ALERTS, 3 * ALERTS)
    for partitions, wanted in ((0, ["updated", "status-changed"]), (4, ["created"])):
        found = asyncio.run(
            life_reader.read(more(kafka), key(moved[0]).decode(), None, None, None, partitions)
        ).enriched
        assert [orjson.loads(each.value)["event"]["action"] for each in found] == wanted
    for n in range(ALERTS):
        of_one = sorted((record for record in records if record.key == key(n)), key=lambda each: each.timestamp)
        assert [orjson.loads(each.value)["event"]["action"] for each in of_one] == [
            "created",
            "updated",
            "status-changed",
        ]


def key(number: int) -> bytes:
    return f"00000000-0000-4000-8000-{number:012d}".encode()


def test_it_refuses_what_kafka_cannot_do_and_undoes_what_has_not_grown(kafka_settings):
    async def scenario() -> None:
        with pytest.raises(NotReady, match="ask for 4 or more"):
            await growth.migrate(kafka_settings, 3, [], timedelta(hours=1), Notes())
        await growth.migrate(kafka_settings, 4, [], timedelta(hours=1), notes := Notes())
        assert notes.said == ["All topics have 4 partitions already."]
        await growth_cluster.close(kafka_settings)
        (line,) = await topics.differences(kafka_settings)
        assert "closed while" in line
        await growth.undo(kafka_settings, notes)
        assert await topics.differences(kafka_settings) == []
        await growth_cluster.close(kafka_settings, for_good=True)
        await growth_cluster.grow(kafka_settings, 5)
        await growth_cluster.close(kafka_settings)
        with pytest.raises(NotReady, match="have begun to grow"):
            await growth.undo(kafka_settings, notes)
        again = await growth_marks.move(more(kafka_settings).model_copy(update={"partitions": 5}), timedelta(1), print)
        assert again == 0

    asyncio.run(scenario())
