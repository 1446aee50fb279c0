"""Real Apache Kafka on this machine: one node or several, durable in a folder, on the loopback address only."""

import asyncio
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from events.errors import NotReady
from sandbox import jars
from sandbox.kafka_folder import KafkaFolder
from sandbox.node import HOST, Node, environment, leashed

READY_WITHIN = 60.0
"""Seconds from the start of the processes to a cluster that answers; four are usual."""

STOP_WITHIN = 10.0
"""Seconds between asking politely and kill -9; the data bears both."""


class EmbeddedKafka:
    """A Kafka cluster of `nodes` brokers in the folder `data`.

    Use `async with`, or `start` and `stop`; kill, pause and restart single nodes in between. Under a supervisor: call
    `prepare`, run the `command` of each node, await `ready`, and `release` at the end. Methods may be called from any
    thread and any event loop, one at a time.
    """

    def __init__(self, data: Path, *, nodes: int = 1, port: int = 0) -> None:
        """Keep everything in `data`; `port` is the first broker's, the others count up; 0: those of last time, or free."""
        self.folder = KafkaFolder(data)
        self.nodes: dict[int, Node] = {}
        self._size = nodes
        self._port = port
        self._jars: list[Path] = []
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        # The leash ends with the thread that started the process, so that thread must live as long as this object.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="kafka")

    @property
    def bootstrap(self) -> str:
        """The address for clients, `host:port[,host:port…]`; empty until prepared."""
        return ",".join(node.address for node in self.nodes.values())

    @property
    def pids(self) -> dict[int, int]:
        """The process id of each node that was started here and still runs."""
        return {number: process.pid for number, process in self._running.items() if process.poll() is None}

    def command(self, number: int = 1) -> tuple[tuple[str, ...], dict[str, str]]:
        """Return command line and environment of a node, for a supervisor that keeps it on a leash."""
        return self.nodes[number].command(self._jars), environment()

    def prepare(self) -> None:
        """Make everything ready but start nothing: jars, ports, configuration, storage.

        Raises NotReady when jars or ports cannot be had, or the folder is another process's or another cluster's.
        """
        self.folder.take()
        cluster = self.folder.cluster(self._size, self._port)  # a taken port is told before a long download
        self._jars = jars.classpath()
        voters = dict(enumerate(cluster.controllers, start=1))
        self.nodes = {
            number: Node(number, self.folder.path / f"node-{number}", port, voters)
            for number, port in enumerate(cluster.clients, start=1)
        }
        for node in self.nodes.values():
            node.configure()
        with ThreadPoolExecutor() as pool:
            fresh = (node for node in self.nodes.values() if not node.formatted)
            list(pool.map(lambda node: node.format(self._jars, cluster.cluster_id), fresh))

    async def start(self) -> None:
        """Prepare unless done, start every node and wait until the cluster answers.

        Raises NotReady with the last lines of the log when it does not.
        """
        try:
            if not self.folder.taken:
                await asyncio.to_thread(self.prepare)
            for number in self.nodes:
                self._spawn(number)
            await self.ready()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop every node, politely at first, and give the folder back."""
        running = [process for process in self._running.values() if process.poll() is None]
        for process in running:
            process.terminate()
            process.send_signal(signal.SIGCONT)  # a paused one would not see it
        end = time.monotonic() + STOP_WITHIN
        while any(process.poll() is None for process in running) and time.monotonic() < end:
            await asyncio.sleep(0.05)
        for process in running:
            process.kill()
            process.wait()
        self._running.clear()
        self.release()

    def release(self) -> None:
        """Let another process use the folder; only when no node runs any more."""
        self.folder.release()

    async def ready(self, within: float = READY_WITHIN) -> None:
        """Wait until every node answers a client and knows every other.

        Raises NotReady when that takes more than `within` seconds, or a node started here ends.
        """
        end = time.monotonic() + within
        while not await self.answers():
            for number, process in self._running.items():
                if (code := process.poll()) is not None:
                    raise NotReady(self.failure(number, f"ended with exit code {code}"))
            if time.monotonic() > end:
                raise NotReady(self.failure(1, f"did not answer within {within:g} s"))
            await asyncio.sleep(0.1)

    async def answers(self) -> bool:
        """Ask every node for metadata once; True when each of them knows the whole cluster and its controller."""
        nodes = self.nodes.values()
        if not all(await asyncio.gather(*(_listens(node) for node in nodes))):
            return False
        return all(await asyncio.gather(*(_knows(node, len(nodes)) for node in nodes)))

    def kill(self, number: int = 1) -> None:
        """Kill -9 a node, as a crash would."""
        process = self._running[number]
        process.kill()
        process.wait()

    def restart(self, number: int = 1) -> None:
        """Start a node again, killing it first if it runs; await `ready` afterwards."""
        self.kill(number)
        self._spawn(number)

    def pause(self, number: int = 1) -> None:
        """Stop a node in its tracks (SIGSTOP), as a long pause of its machine would."""
        self._running[number].send_signal(signal.SIGSTOP)

    def resume(self, number: int = 1) -> None:
        """Let a paused node go on."""
        self._running[number].send_signal(signal.SIGCONT)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _spawn(self, number: int) -> None:
        node = self.nodes[number]

        def run() -> subprocess.Popen[bytes]:
            with node.console.open("wb") as console:
                return subprocess.Popen(  # noqa: S603  # our own Java, our own arguments
                    leashed(node.command(self._jars), parent=os.getpid()),
                    env=environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=console,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C in the terminal is for whoever runs this
                )

        self._running[number] = self._starter.submit(run).result()

    def failure(self, number: int, what: str) -> str:
        """Say what happened to a node and what it wrote last."""
        node = self.nodes[number]
        return f"Kafka node {number} {what}; its log {node.log} ends with: {node.last_lines()}"


async def _listens(node: Node) -> bool:
    """Try a plain connection: aiokafka logs every refusal as an error."""
    try:
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_connection(HOST, node.client_port)
            writer.close()
            await writer.wait_closed()
    except OSError:
        return False
    return True


async def _knows(node: Node, brokers: int) -> bool:
    """Ask one node who is in the cluster; aiokafka's first question is that."""
    client = AIOKafkaClient(bootstrap_servers=node.address, request_timeout_ms=2000)
    try:
        async with asyncio.timeout(5):
            await client.bootstrap()
        return len(client.cluster.brokers()) == brokers and client.cluster.controller is not None
    except (KafkaError, OSError):
        return False
    finally:
        await client.close()
