"""The folder of an embedded cluster: who may use it, which cluster it holds, which ports it had last time."""

import fcntl
import json
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from events.errors import NotReady
from sandbox.node import new_cluster_id
from sandbox.plan import is_free

RELEASED_WITHIN = 3.0
"""Seconds a port may stay taken by a broker that was killed a moment ago."""

QUIET_PORTS = range(20_000, 32_000)
"""Below what Linux and macOS hand out to outgoing connections: a broker that restarts finds its port free."""


@dataclass
class Cluster:
    """What stays the same from start to start; `clients` and `controllers` are ports, one per node."""

    nodes: int
    cluster_id: str = field(default_factory=new_cluster_id)
    clients: list[int] = field(default_factory=list)
    controllers: list[int] = field(default_factory=list)


class KafkaFolder:
    """A folder that one process at a time runs brokers on."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: IO[str] | None = None

    @property
    def taken(self) -> bool:
        """Say whether this object keeps others out."""
        return self._lock is not None

    def take(self) -> None:
        """Keep other processes out until `release`, or until this process ends.

        Raises NotReady when another one is in, or the folder cannot be written to.
        """
        if self._lock:
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "lock").open("a")
        except OSError as error:
            raise NotReady(
                f"{self.path} cannot be written to ({error.strerror}): choose another folder with TOCSIN_DATA."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise NotReady(
                f"{self.path} is in use by another process: stop it, or choose another folder with TOCSIN_DATA."
            ) from error
        self._lock = lock

    def release(self) -> None:
        """Let others in."""
        if self._lock:
            self._lock.close()
            self._lock = None

    def cluster(self, nodes: int, port: int) -> Cluster:
        """Return the cluster of this folder, a new one the first time, with ports that are free now.

        With `port` 0 each node keeps the port it had, if it can. Raises NotReady when `port` is taken, or the cluster
        has another size.
        """
        file = self.path / "cluster.json"
        cluster = Cluster(nodes)
        with suppress(FileNotFoundError):
            cluster = Cluster(**json.loads(file.read_text()))
        if cluster.nodes != nodes:
            raise NotReady(
                f"{self.path} holds a cluster of size {cluster.nodes}, not {nodes}, and a cluster keeps its size: "
                "choose another folder with TOCSIN_DATA."
            )
        taken: set[int] = set()
        if port:
            cluster.clients = [_exactly(number, taken) for number in range(port, port + nodes)]
        else:
            cluster.clients = _preferably(cluster.clients, nodes, taken)
        cluster.controllers = _preferably(cluster.controllers, nodes, taken)
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(cluster)))
        fresh.replace(file)
        return cluster


def _exactly(port: int, taken: set[int]) -> int:
    if not _released(port):
        raise NotReady(
            f"Port {port} is in use on this machine: stop what listens there, or choose another with --port."
        )
    taken.add(port)
    return port


def _preferably(ports: Iterable[int], count: int, taken: set[int]) -> list[int]:
    kept = list(ports) or [0] * count
    for index, port in enumerate(kept):
        if not port or port in taken or not _released(port):
            kept[index] = _free(taken)
        taken.add(kept[index])
    return kept


def _free(taken: set[int]) -> int:
    for _ in range(1000):
        port = secrets.choice(QUIET_PORTS)
        if port not in taken and is_free(port):
            return port
    raise NotReady(f"No port between {QUIET_PORTS.start} and {QUIET_PORTS.stop} is free on this machine.")


def _released(port: int) -> bool:
    end = time.monotonic() + RELEASED_WITHIN
    while not is_free(port):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
