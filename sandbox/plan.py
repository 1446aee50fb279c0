"""The plan: which processes make a pipeline on this machine, and which environment each of them gets."""

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from sandbox.supervisor import Process

HOST = "127.0.0.1"
SIMULATED_KEY = "simulated-tenant-key"
_FAMILIES = (
    "ARCHIVE_",
    "CATCH_UP_",
    "HEARTBEAT_",
    "INBOX_",
    "INGEST_",
    "KAFKA_",
    "SEKOIA_",
    "SILENCE_",
    "SINKS_",
    "STREAM_",
    "TEAMS_",
    "TOCSIN_",
    "WATCH_",
)
_JOBS = ("CATCH_UP_", "SILENCE_", "HEARTBEAT_", "WATCH_")
_FOREIGN = {
    "ingest": ("ARCHIVE_", *_JOBS, "INBOX_", "SEKOIA_", "SINKS_", "STREAM_", "TEAMS_"),
    "stream": ("ARCHIVE_", *_JOBS, "INBOX_", "INGEST_", "SINKS_", "TEAMS_"),
    "sink": (*_JOBS, "INBOX_", "INGEST_", "SEKOIA_", "STREAM_"),
    "archive": (*_JOBS, "INBOX_", "INGEST_", "SEKOIA_", "STREAM_", "TEAMS_"),
    "inbox": ("ARCHIVE_", *_JOBS, "INGEST_", "SEKOIA_", "SINKS_", "STREAM_", "TEAMS_"),
    "catch-up": ("ARCHIVE_", "HEARTBEAT_", "INBOX_", "INGEST_", "SINKS_", "STREAM_", "TEAMS_", "WATCH_"),
    "watch": ("ARCHIVE_", "CATCH_UP_", "SILENCE_", "INBOX_", "INGEST_", "STREAM_"),
    "simulate": ("ARCHIVE_", *_JOBS, "INBOX_", "INGEST_", "KAFKA_", "SEKOIA_", "STREAM_", "TEAMS_"),
}
"""Settings a process has no business with: ingest is the one that faces the network and holds no key."""


def bare_environment() -> dict[str, str]:
    """Return this process's environment without any setting of tocsin."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(_FAMILIES)}


def is_free(port: int) -> bool:
    """Tell whether nobody listens on this port of the loopback address."""
    try:
        # Reusing the address, as servers do: a port in TIME_WAIT is free.
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Ports:
    """Where everything listens, on the loopback address."""

    ingest: int = 8080
    ingest_admin: int = 8081
    stream_admin: int = 8082
    sinks_admin: int = 8083
    archive_admin: int = 8084
    receivers: int = 8090
    kafka: int = 9092
    inbox: int = 8070
    inbox_admin: int = 8085
    catch_up_admin: int = 8086
    mail: int = 8025
    watch_admin: int = 8087

    @classmethod
    def near(cls, wanted: "Ports | None" = None) -> "Ports":
        """Take the wanted ports where they are free, else the next free ones."""
        wanted = wanted or cls()
        taken: dict[str, int] = {}
        reserved = {getattr(wanted, each.name) for each in fields(cls)}
        for each in fields(cls):
            port = getattr(wanted, each.name)
            while port in taken.values() or not is_free(port):
                port += 1
                while port in reserved:
                    port += 1
            taken[each.name] = port
        return cls(**taken)

    @classmethod
    def free(cls) -> "Ports":
        """Take ports the system says nobody uses."""
        sockets = [socket.create_server((HOST, 0)) for _ in fields(cls)]
        ports = [each.getsockname()[1] for each in sockets]
        for each in sockets:
            each.close()
        return cls(*ports)


@dataclass(frozen=True)
class Layout:
    """One pipeline on this machine: where its data is, what it talks to, and the environment its rooms inherit."""

    data: Path
    bootstrap: str
    ports: Ports
    hooks: str = field(repr=False)
    """INGEST_HOOKS: `name=token[,name=token…]`."""
    tenant_url: str = ""
    """The simulated tenant's Alert API; empty: the environment's SEKOIA_* settings hold."""
    teams_url: str = field(default="", repr=False)
    """The target `teams`; empty: the environment's TEAMS_WEBHOOK_URL or TOCSIN_RULES holds."""
    prefix: str = "tocsin."
    workdir: Path | None = None
    """Where the rooms run (they read `.env` there); the data folder unless told."""
    environment: Mapping[str, str] = field(default_factory=bare_environment, repr=False)
    """What they inherit; with the settings of the person, where there is one."""
    extra: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """More settings by process name, the last word."""

    @property
    def admin(self) -> dict[str, str]:
        """The private address of each room: `/healthz` and `/metrics`."""
        ports = self.ports
        rooms = {
            "ingest": ports.ingest_admin,
            "stream": ports.stream_admin,
            "sink": ports.sinks_admin,
            "archive": ports.archive_admin,
            "inbox": ports.inbox_admin,
            **({"catch-up": ports.catch_up_admin} if self.catches_up else {}),
        }
        return {name: f"http://{HOST}:{port}" for name, port in rooms.items()}

    @property
    def catches_up(self) -> bool:
        """Whether the job runs that feeds alerts whose webhook never came: CATCH_UP_EVERY is set."""
        return bool(self.environment.get("CATCH_UP_EVERY"))

    @property
    def receivers_url(self) -> str:
        """The simulated tenant and the page of its receivers."""
        return f"http://{HOST}:{self.ports.receivers}"

    @property
    def inbox_url(self) -> str:
        """The page of all notifications."""
        return f"http://{HOST}:{self.ports.inbox}"

    @property
    def simulated_teams_url(self) -> str:
        """The simulated Teams endpoint."""
        return f"{self.receivers_url}/teams/soc?sig=simulated"

    @property
    def hook_url(self) -> str:
        """Where to post webhooks: the first hook."""
        token = self.hooks.split(",", 1)[0].partition("=")[2]
        return f"http://{HOST}:{self.ports.ingest}/hooks/{token}"


def rooms(layout: Layout) -> list[Process]:
    """Return the rooms in the order they start: ingest, sink, archive, stream.

    The stream comes last: a target that never ran begins at the end of the enriched topic, and must have found it
    before the first record of this run is written.
    """
    ports = layout.ports
    ingest = {
        "INGEST_HOST": HOST,
        "INGEST_PORT": str(ports.ingest),
        "INGEST_ADMIN_PORT": str(ports.ingest_admin),
        "INGEST_HOOKS": layout.hooks,
    }
    sink = {"SINKS_ADMIN_PORT": str(ports.sinks_admin)}
    if layout.teams_url:
        sink |= {"TEAMS_WEBHOOK_URL": layout.teams_url}
    if layout.teams_url or layout.tenant_url:
        sink |= {"SINKS_ALLOW_NETWORKS": allow(layout.environment.get("SINKS_ALLOW_NETWORKS", ""))}
    archive = {"ARCHIVE_ADMIN_PORT": str(ports.archive_admin)}
    stream = {"STREAM_ADMIN_PORT": str(ports.stream_admin)}
    if layout.tenant_url:
        stream |= {"SEKOIA_API_BASE": layout.tenant_url, "SEKOIA_API_KEY": SIMULATED_KEY}
        if "ARCHIVE_FLUSH_EVERY" not in layout.environment:
            archive |= {"ARCHIVE_FLUSH_EVERY": "2s"}  # a person is watching; small files do not matter here
    return [
        process(layout, "ingest", ["ingest"], ingest),
        process(layout, "sink", ["sink", "teams"] if layout.teams_url else ["sink"], sink),
        process(layout, "archive", ["sink", "archive"], archive),
        process(layout, "stream", ["stream"], stream),
    ]


def catch_up(layout: Layout) -> Process | None:
    """Return the job that feeds alerts whose webhook never came; None unless CATCH_UP_EVERY is set."""
    if not layout.catches_up:
        return None
    # Of the rooms it asks ingest alone, for the age of its spool.
    settings = {
        "CATCH_UP_ADMIN_PORT": str(layout.ports.catch_up_admin),
        "INBOX_ROOMS": f"ingest={layout.admin['ingest']}",
    }
    if layout.tenant_url:
        settings |= {"SEKOIA_API_BASE": layout.tenant_url, "SEKOIA_API_KEY": SIMULATED_KEY}
    return process(layout, "catch-up", ["catch-up"], settings)


def inbox(layout: Layout) -> Process:
    """Return the page of all notifications, on the loopback address unless INBOX_HOST is set; it reads what comes."""
    others = {"sinks" if name == "sink" else name: url for name, url in layout.admin.items() if name != "inbox"}
    settings = {
        "INBOX_PORT": str(layout.ports.inbox),
        "INBOX_ADMIN_PORT": str(layout.ports.inbox_admin),
        "INBOX_ROOMS": ",".join(f"{name}={url}" for name, url in others.items()),
    }
    return process(layout, "inbox", ["inbox"], settings)


def allow(networks: str) -> str:
    """Add this machine to the networks targets may reach: the simulated receivers are here."""
    return ",".join(filter(None, (networks, f"{HOST}/32")))


def simulate(layout: Layout, *options: str) -> Process:
    """Return the simulated tenant and receivers; without `--hook-url` among the options it posts no webhooks."""
    return process(layout, "simulate", ["simulate", *_listening(layout.ports), *options], {})


def _listening(ports: Ports) -> list[str]:
    return ["--port", str(ports.receivers), "--mail-port", str(ports.mail)]


def process(layout: Layout, name: str, command: list[str], settings: Mapping[str, str]) -> Process:
    """Return a process of a room: what it inherits, without the settings it has no business with, and its own."""
    inherited = {k: v for k, v in layout.environment.items() if not k.upper().startswith(_FOREIGN[name])}
    shared = {"TOCSIN_DATA": str(layout.data), "PYTHONUNBUFFERED": "1"}
    if name != "simulate":
        shared |= {"KAFKA_BOOTSTRAP_SERVERS": layout.bootstrap, "KAFKA_TOPIC_PREFIX": layout.prefix}
    return Process(
        name=name,
        # -P: a folder named `events` in the working directory must not be taken for ours.
        argv=(sys.executable, "-P", "-m", "ops", *command),
        env={**inherited, **shared, **settings, **layout.extra.get(name, {})},
        cwd=layout.workdir or layout.data,
        log=layout.data / "logs" / f"{name}.log",
        admin=layout.admin.get(name, ""),
    )
