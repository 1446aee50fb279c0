"""Every example of docs/consuming.md runs, and sees what is committed and nothing else."""

import asyncio
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import duckdb
import pytest
from aiokafka import AIOKafkaProducer

from sandbox import connect

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

_path = Path(__file__).parents[1] / "sinks" / "archive" / "processes.py"
_spec = importlib.util.spec_from_file_location("archive_processes", _path)
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)


@pytest.fixture
def site(kafka_settings, tmp_path):
    """Return the site, and end its processes."""
    site = processes.Site(kafka_settings, tmp_path)
    yield site
    site.kill_all()


def event(number: int) -> bytes:
    return processes.event(number, alert={"title": f"title {number}", "rule": {"name": "r"}})


async def some_records(site) -> None:
    """Commit events 0 and 1, abort event 2, commit event 3; event 4 is written and neither."""
    await site.publish(event(0), event(1))
    await site.publish(event(2), abort=True)
    await site.publish(event(3), partition=1)


def started(site, line: list[str], out: Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    with out.open("ab") as file:
        process = subprocess.Popen(line, stdout=file, stderr=file, env=env, cwd=out.parent)
    site.running.append(process)
    return process


async def until(site, done, process: subprocess.Popen[bytes], seconds: float = 240) -> None:
    async with asyncio.timeout(seconds):
        while not done():
            assert process.poll() is None, site.log.read_text()
            await asyncio.sleep(0.1)


def test_twenty_lines_of_python(site, tmp_path):
    """The consumer waits before an open transaction, and goes on where it stopped."""
    assert len((EXAMPLES / "consumer.py").read_text().splitlines()) <= 25
    said = tmp_path / "said"

    def start() -> subprocess.Popen[bytes]:
        env = os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": site.kafka.bootstrap_servers,
            "KAFKA_TOPIC_PREFIX": site.kafka.topic_prefix,
            "PYTHONPATH": str(ROOT),
        }
        return started(site, [sys.executable, str(EXAMPLES / "consumer.py")], said, env)

    def titles() -> list[str]:
        return sorted(re.findall(r"^e\d+ 0 alert (title \d+)$", said.read_text(), re.MULTILINE))

    async def scenario() -> None:
        await some_records(site)
        options = {**site.kafka.client_options(), "transactional_id": uuid.uuid4().hex}
        async with AIOKafkaProducer(**options) as producer:
            await producer.begin_transaction()
            await producer.send_and_wait(site.topics.enriched, event(4), partition=2)
            process = start()
            await until(site, lambda: len(titles()) >= 3, process)
            process.terminate()
            process.wait()
            assert titles() == ["title 0", "title 1", "title 3"]
            await producer.commit_transaction()
        process = start()
        await until(site, lambda: "title 4" in titles(), process)
        assert titles() == ["title 0", "title 1", "title 3", "title 4"], said.read_text()

    asyncio.run(scenario())


def test_duckdb_reads_the_archive_without_tocsin(site, monkeypatch):
    async def scenario() -> None:
        await some_records(site)
        process = site.start()
        await site.until_archived()
        site.stop(process)

    asyncio.run(scenario())
    stray = next(site.root.rglob("*.parquet"))
    (stray.parent / "left-by-a-crash.parquet").write_bytes(stray.read_bytes())
    monkeypatch.chdir(site.root)
    rows = duckdb.connect().execute((EXAMPLES / "archive.sql").read_text()).fetchall()
    assert sum(events for *_, events in rows) == 3
    assert {rule for _, rule, _ in rows} == {"r"}


def test_kafka_connect_with_its_file_sink(site, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = tmp_path / "enriched.jsonl"
    given = {
        "bootstrap.servers": site.kafka.bootstrap_servers,
        "listeners": f"HTTP://127.0.0.1:{port}",
        "topics": site.topics.enriched,
        "file": str(out),
        "offset.storage.file.filename": str(tmp_path / "offsets"),
    }
    for name in ("worker.properties", "file-sink.properties"):
        text = (EXAMPLES / "connect" / name).read_text()
        for key, value in given.items():
            text = re.sub(rf"^{re.escape(key)}=.*$", f"{key}={value}", text, flags=re.MULTILINE)
        (tmp_path / name).write_text(text)

    async def scenario() -> None:
        await some_records(site)
        line = connect.command(tmp_path / "worker.properties", [tmp_path / "file-sink.properties"], tmp_path)
        process = started(site, line, site.log)
        await until(site, lambda: out.exists() and len(out.read_text().splitlines()) >= 3, process)
        assert sorted(json.loads(each)["event_id"] for each in out.read_text().splitlines()) == ["e0", "e1", "e3"]

    asyncio.run(scenario())
