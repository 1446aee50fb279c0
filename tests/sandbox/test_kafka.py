"""The embedded Kafka: durable, alone in its folder, gone with its parent, and clear about what is wrong."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from events.errors import NotReady
from sandbox import node
from sandbox.kafka import EmbeddedKafka
from sandbox.kafka_folder import KafkaFolder
from sandbox.node import Node

VOTERS = {1: 21001, 2: 21002, 3: 21003}


async def create_topic(bootstrap: str, name: str, replication: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(name, 1, replication)])
        assert [code for _, code, *_ in answer.topic_errors] == [0]
    finally:
        await admin.close()


async def write(bootstrap: str, topic: str, values: list[str]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=topic, acks="all")
    async with asyncio.timeout(60), producer, producer.transaction():
        for value in values:
            await producer.send_and_wait(topic, value.encode(), partition=0)


async def read(bootstrap: str, topic: str) -> list[str]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    async with asyncio.timeout(60), consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        values: list[str] = []
        while await consumer.position(partition) < (await consumer.end_offsets([partition]))[partition]:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                values += [record.value.decode() for record in records]
        return values


def ends(pid: int, within: float = 10) -> bool:
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":  # dead; nobody has asked for its exit code yet
            return True
        time.sleep(0.02)
    return False


@pytest.mark.kafka
def test_data_survives_kill_stop_and_a_taken_port(tmp_path):
    async def main() -> None:
        kafka = EmbeddedKafka(tmp_path / "données à moi")
        async with kafka:
            first = kafka.bootstrap
            assert first.startswith("127.0.0.1:")
            await create_topic(first, "kept")
            await write(first, "kept", ["one", "two"])
            old = kafka.pids[1]
            kafka.kill()
            assert kafka.pids == {}
            assert not await kafka.answers()
            kafka.restart()
            await kafka.ready()
            assert kafka.bootstrap == first
            assert kafka.pids[1] != old
            assert await read(first, "kept") == ["one", "two"]
        with socket.create_server(("127.0.0.1", int(first.partition(":")[2]))):
            async with kafka:
                assert kafka.bootstrap != first
                await write(kafka.bootstrap, "kept", ["three"])
                assert await read(kafka.bootstrap, "kept") == ["one", "two", "three"]

    asyncio.run(main())


@pytest.mark.kafka
def test_a_paused_broker_goes_on(tmp_path):
    async def main() -> None:
        async with EmbeddedKafka(tmp_path) as kafka:
            kafka.pause()
            assert not await kafka.answers()
            kafka.resume()
            await kafka.ready()
            kafka.pause()  # stop must end a paused one too

    asyncio.run(main())


@pytest.mark.kafka
def test_it_listens_here_only_and_creates_no_topic_by_itself(kafka, topic_prefix):
    async def main() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        try:
            assert [x["error_code"] for x in await admin.describe_topics([f"{topic_prefix}typo"])] == [3]
            [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")])
            config = {entry[0]: entry[1] for entry in answer.resources[0][4]}
            assert "127.0.0.1" in config["listeners"]
            assert "0.0.0.0" not in config["listeners"]
            assert int(config["offsets.retention.minutes"]) >= 20160
        finally:
            await admin.close()

    asyncio.run(main())


@pytest.mark.kafka
def test_three_nodes_go_on_with_two(kafka3, topic_prefix):
    topic = f"{topic_prefix}replicated"

    async def main() -> None:
        await create_topic(kafka3.bootstrap, topic, replication=3)
        await write(kafka3.bootstrap, topic, ["before"])
        kafka3.kill(2)
        try:
            await write(kafka3.bootstrap, topic, ["without node 2"])
        finally:
            kafka3.restart(2)
            await kafka3.ready()
        kafka3.kill(1)
        try:
            assert await read(kafka3.bootstrap, topic) == ["before", "without node 2"]
        finally:
            kafka3.restart(1)
            await kafka3.ready()

    asyncio.run(main())


@pytest.mark.kafka
def test_a_broker_that_cannot_start_shows_why(tmp_path):
    kafka = EmbeddedKafka(tmp_path)
    kafka.prepare()
    meta = tmp_path / "node-1" / "log" / "meta.properties"
    meta.write_text(meta.read_text().replace("node.id=1", "node.id=7"))
    with pytest.raises(NotReady, match=r"Kafka node 1 ended with exit code 1; .*kafka\.log ends with: .*node"):
        asyncio.run(kafka.start())
    assert kafka.pids == {}
    assert not kafka.folder.taken


def test_a_folder_serves_one_process_at_a_time(tmp_path):
    first, second = KafkaFolder(tmp_path), KafkaFolder(tmp_path)
    first.take()
    with pytest.raises(NotReady, match="in use by another process"):
        second.take()
    first.release()
    second.take()
    second.release()


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(NotReady, match="cannot be written to"):
        KafkaFolder(tmp_path / "data").take()


def test_a_cluster_keeps_its_name_its_size_and_if_it_can_its_ports(tmp_path):
    folder = KafkaFolder(tmp_path)
    folder.take()
    new = folder.cluster(3, port=0)
    assert len({*new.clients, *new.controllers}) == 6
    assert folder.cluster(3, port=0) == new
    with pytest.raises(NotReady, match="size 3, not 1"):
        folder.cluster(1, port=0)
    folder.release()


def test_a_port_that_was_asked_for_and_is_taken_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("sandbox.kafka_folder.RELEASED_WITHIN", 0)
    folder = KafkaFolder(tmp_path)
    folder.take()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(NotReady, match=f"Port {port} is in use"):
            folder.cluster(1, port=port)
    assert folder.cluster(1, port=port).clients == [port]
    folder.release()


def test_a_path_with_accents_is_written_as_java_reads_it(tmp_path):
    home = Node(2, tmp_path / "Zoë's 😀 data", 20001, VOTERS)
    home.configure()
    line = next(x for x in (home.folder / "server.properties").read_text("ascii").splitlines() if "log.dirs" in x)
    assert line.endswith("/Zo\\u00eb's \\ud83d\\ude00 data/log")


def test_the_broker_sees_nothing_of_our_environment(monkeypatch):
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx8g")
    monkeypatch.setenv("SEKOIA_API_KEY", "secret")
    assert not {"JAVA_TOOL_OPTIONS", "SEKOIA_API_KEY"} & node.environment().keys()


def test_a_cluster_id_is_never_taken_for_an_option():
    assert not any(node.new_cluster_id().startswith("-") for _ in range(2000))


PARENT = """
import subprocess, sys, time
from sandbox.node import leashed
child = subprocess.Popen([*leashed(("/bin/sleep", "60"), int(sys.argv[1]) or __import__("os").getpid())])
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's leash exists on Linux only")
def test_a_child_on_the_leash_ends_when_its_parent_is_killed():
    with subprocess.Popen([sys.executable, "-c", PARENT, "0"], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert not ends(pid, within=0.5)
        parent.kill()
    assert ends(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's leash exists on Linux only")
def test_a_child_whose_parent_is_another_than_expected_does_not_start():
    with subprocess.Popen([sys.executable, "-c", PARENT, "1"], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert ends(pid)
        parent.kill()


BROKER = """
import asyncio, sys, time
from pathlib import Path
from sandbox.kafka import EmbeddedKafka
kafka = EmbeddedKafka(Path(sys.argv[1]))
kafka.prepare()
asyncio.run(asyncio.to_thread(kafka._spawn, 1))  # the thread ends here, the broker must not
print(kafka.pids[1], flush=True)
time.sleep(120)
"""


@pytest.mark.kafka
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's leash exists on Linux only")
def test_no_broker_outlives_its_parent_and_the_folder_is_free_at_once(tmp_path):
    env = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([sys.executable, "-c", BROKER, str(tmp_path)], stdout=subprocess.PIPE, env=env) as parent:
        pid = int(parent.stdout.readline())
        assert not ends(pid, within=2)
        parent.send_signal(signal.SIGKILL)
    assert ends(pid)

    async def main() -> None:
        async with EmbeddedKafka(tmp_path):
            pass

    asyncio.run(main())
