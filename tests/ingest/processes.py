"""`tocsin ingest` as processes, senders that keep a journal, and the raw topic as it is in the end."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from events.settings import KafkaSettings
from events.topics import Topics

TOKEN = "token-of-the-integration-test"
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
"""A command in front of another, which may then mount a small disk of its own."""


async def raw_records(kafka: KafkaSettings) -> list[ConsumerRecord]:
    """Read the raw topic from its beginning to its end."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(Topics(kafka.topic_prefix).raw, number) for number in range(kafka.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[ConsumerRecord] = []
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
        return found
    finally:
        await consumer.stop()


class Running:
    """`tocsin ingest`, as a process."""

    def __init__(self, process: subprocess.Popen[str], client: httpx.AsyncClient, port: int, admin: str) -> None:
        self.process = process
        self.port = port
        self._client = client
        self._admin = admin
        self.log = ""

    async def post(self, content: bytes) -> httpx.Response:
        return await self._client.post(f"/hooks/{TOKEN}", content=content)

    async def admin(self, path: str) -> httpx.Response:
        return await self._client.get(f"{self._admin}{path}")

    async def stop(self) -> int:
        """Send SIGTERM; return the exit code, and keep the log."""
        self.process.send_signal(signal.SIGTERM)
        self.log = (await asyncio.to_thread(self.process.communicate, timeout=30))[1] or ""
        return self.process.returncode


def start(
    kafka: KafkaSettings, port: int, admin_port: int, *, disk: str = "", log: Path | None = None, **more: str
) -> subprocess.Popen[str]:
    """Start it, with a spool on a disk of its own of that size, its log in a file where one is named."""
    settings = {
        "INGEST_HOOKS": f"soc={TOKEN}",
        "INGEST_PORT": str(port),
        "INGEST_ADMIN_PORT": str(admin_port),
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "KAFKA_PARTITIONS": str(kafka.partitions),
    } | more
    command = [sys.executable, "-m", "ops", "ingest"]
    if disk:
        folder = settings["INGEST_SPOOL"] = str(Path("small").absolute())
        script = f'mkdir -p "$0" && mount -t tmpfs -o size={disk} none "$0" && exec "$@"'
        command = [*NAMESPACE, "sh", "-c", script, folder, *command]
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(log.open("a")) if log else subprocess.PIPE
        return subprocess.Popen(command, env=os.environ | settings, stderr=errors, text=True)


async def drain(kafka: KafkaSettings) -> tuple[int, str]:
    """Run `tocsin ingest drain` on the folder `spool`; return its exit code and all it said."""
    settings = {
        "INGEST_SPOOL": "spool",
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_PARTITIONS": str(kafka.partitions),
    }
    command = [sys.executable, "-m", "ops", "ingest", "drain"]
    done = await asyncio.to_thread(
        subprocess.run, command, env=os.environ | settings, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


def free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


@contextlib.asynccontextmanager
async def ingest(kafka: KafkaSettings, port: int = 0, **options: Any) -> AsyncIterator[Running]:
    """Start `tocsin ingest` and wait until it is ready."""
    free, admin_port = free_ports()
    port = port or free
    process = start(kafka, port, admin_port, **options)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        running = Running(process, client, port, f"http://127.0.0.1:{admin_port}")
        try:
            for _ in range(300):
                assert process.poll() is None, process.communicate()[1]
                with contextlib.suppress(httpx.ConnectError):
                    if (await running.admin("/healthz")).status_code == 200:
                        break
                await asyncio.sleep(0.1)
            yield running
        finally:
            process.kill()
            await asyncio.to_thread(process.communicate)


class Senders:
    """Post for a few alerts, each sender its own, the next event when the one before was answered."""

    def __init__(self, port: int, padding: int = 0) -> None:
        self._padding = "x" * padding
        self.url = f"http://127.0.0.1:{port}/hooks/{TOKEN}"
        self.accepted: dict[str, list[int]] = {}
        self.refused: list[httpx.Response] = []
        self.unanswered = 0
        self.slowest = 0.0
        self._stop = asyncio.Event()

    async def __aenter__(self):
        self._tasks = [asyncio.create_task(self._post(f"alert-{number}")) for number in range(4)]
        return self

    async def __aexit__(self, *_):
        self._stop.set()
        await asyncio.gather(*self._tasks)

    @property
    def count(self) -> int:
        return sum(map(len, self.accepted.values()))

    async def _post(self, alert: str) -> None:
        # Half of them connect anew for every event.
        headers = {"connection": "close"} if alert[-1] in "02468" else {}
        accepted = self.accepted[alert] = []
        number = 0
        async with httpx.AsyncClient(timeout=30) as client:
            while not self._stop.is_set():
                number += 1
                content = {"type": "test", "action": "sent", "attributes": {"uuid": alert}, "number": number}
                content["padding"] = self._padding
                began = asyncio.get_running_loop().time()
                try:
                    answer = await client.post(self.url, json=content, headers=headers)
                except httpx.TransportError:
                    self.unanswered += 1
                    await asyncio.sleep(0.05)
                    continue
                self.slowest = max(self.slowest, asyncio.get_running_loop().time() - began)
                if answer.status_code == 200:
                    accepted.append(number)
                else:
                    self.refused.append(answer)
                await asyncio.sleep(0.01)

    async def until_more(self, events: int) -> None:
        enough = self.count + events
        async with asyncio.timeout(60):
            while self.count < enough:
                await asyncio.sleep(0.05)

    def assert_nothing_is_missing(self, found: list[ConsumerRecord]) -> None:
        """Each event answered 200 is there, first copies in order, and copies name the same event and delivery."""
        numbers: dict[str, list[int]] = {}
        names: dict[tuple[str, int], set[tuple[bytes, bytes]]] = {}
        for record in found:
            content = json.loads(record.value)
            alert, number = content["attributes"]["uuid"], content["number"]
            if number not in numbers.setdefault(alert, []):
                numbers[alert].append(number)
            headers = dict(record.headers)
            names.setdefault((alert, number), set()).add((headers["event-id"], headers["delivery-id"]))
        for alert, accepted in self.accepted.items():
            assert set(accepted) - set(numbers[alert]) == set()
            assert [number for number in numbers[alert] if number in set(accepted)] == accepted
        assert {len(name) for name in names.values()} == {1}


async def until_drained(running: Running) -> None:
    async with asyncio.timeout(60):
        while True:
            health = (await running.admin("/healthz")).json()
            if health["kafka"] is None and health["spool"] == health["spool"] | {"open": False, "events": 0}:
                return
            await asyncio.sleep(0.1)
