"""What `tocsin up` will run: decided from the settings of the person and what is free on the machine."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from pydantic import SecretStr

from events.settings import KafkaSettings
from inbox.settings import InboxSettings
from ingest.settings import IngestSettings
from ops.catch_up_settings import CatchUpSettings
from ops.watch_settings import WatchSettings
from sandbox import folder, plan
from sandbox.plan import Layout, Ports
from sinks import rules_file
from sinks.archive.settings import ArchiveSettings
from sinks.settings import SinksSettings
from stream.settings import SekoiaSettings, StreamSettings

RELEASED_WITHIN = 2.0
"""Seconds in which the rooms of an `up` that was killed a moment ago give their ports back."""

RULES = Path("tocsin.yml")
"""The rules file the sinks find by themselves."""

RATE = 0.5
"""Webhooks a second of the simulated tenant: a person can still read the cards."""


@dataclass(frozen=True)
class Settings:
    """Everything the rooms would read, read once here."""

    kafka: KafkaSettings
    ingest: IngestSettings
    stream: StreamSettings
    sekoia: SekoiaSettings
    sinks: SinksSettings
    archive: ArchiveSettings
    inbox: InboxSettings
    catch_up: CatchUpSettings
    watch: WatchSettings

    @classmethod
    def read(cls) -> Self:
        """Read the environment and `.env`.

        Raises pydantic's ValidationError for a wrong setting.
        """
        return cls(
            KafkaSettings(),
            IngestSettings(),
            StreamSettings(),
            SekoiaSettings(),
            SinksSettings(),
            ArchiveSettings(),
            InboxSettings(),
            CatchUpSettings(),
            WatchSettings(),
        )

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.archive.data.absolute()

    @property
    def rules(self) -> Path | None:
        """The rules file, None when there is none."""
        return self.sinks.rules or (RULES if RULES.exists() else None)


@dataclass(frozen=True)
class Arrangement:
    """What is run, and what the person should know about it."""

    settings: Settings
    layout: Layout
    """Its `bootstrap` is empty when the Kafka is ours."""
    targets: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def embedded(self) -> bool:
        """Whether Kafka is started here."""
        return not self.settings.kafka.bootstrap_servers

    @property
    def posts(self) -> bool:
        """Whether the simulated tenant takes the place of the real one."""
        return bool(self.layout.tenant_url)

    @property
    def simulates(self) -> bool:
        """Whether the simulated tenant runs, if only for its Teams channel."""
        return self.posts or bool(self.layout.teams_url)


def arrange(
    settings: Settings, workdir: Path, environment: Mapping[str, str], free: Callable[[Ports], Ports]
) -> Arrangement:
    """Decide; `free` finds free ports near the wanted ones.

    Raises NotReady for a rules file with a mistake.
    """
    wanted = Ports(
        ingest=settings.ingest.port,
        ingest_admin=settings.ingest.admin_port,
        stream_admin=settings.stream.admin_port,
        sinks_admin=settings.sinks.admin_port,
        archive_admin=settings.archive.admin_port,
        inbox=settings.inbox.port,
        inbox_admin=settings.inbox.admin_port,
        catch_up_admin=settings.catch_up.admin_port,
        watch_admin=settings.watch.admin_port,
    )
    ports = free(wanted)
    posts = not _has(settings.sekoia.api_key)
    receives = settings.rules is None and not _has(settings.sinks.teams_webhook_url)
    layout = Layout(
        data=settings.data,
        bootstrap=settings.kafka.bootstrap_servers,
        ports=ports,
        hooks=settings.ingest.hooks.get_secret_value() or folder.hook(settings.data),
        tenant_url=_tenant_url(ports) if posts else "",
        teams_url=f"{_tenant_url(ports)}/teams/soc?sig=simulated" if receives else "",
        prefix=settings.kafka.topic_prefix,
        workdir=workdir,
        environment=environment,
    )
    targets: tuple[str, ...] = ("teams",)
    if settings.rules:
        targets = tuple(rules_file.read(settings.rules, environment).targets)
    return Arrangement(
        settings, layout, targets, (*_notes(settings, posts, receives), *_moved(wanted, ports, settings))
    )


def released(wanted: Ports) -> Ports:
    """Find free ports; the wanted ones are waited for a little, they may be of an `up` that was just killed."""
    end = time.monotonic() + RELEASED_WITHIN
    while (ports := Ports.near(wanted)) != wanted and time.monotonic() < end:
        time.sleep(0.1)
    return ports


def _notes(settings: Settings, posts: bool, receives: bool) -> list[str]:
    if not posts:
        notes = [
            f"Alerts are looked up at {settings.sekoia.api()}.",
            "The hook listens on this machine only: bring Sekoia's webhooks to it with a reverse proxy or a tunnel.",
        ]
        if receives:
            notes.append("No TEAMS_WEBHOOK_URL and no tocsin.yml: cards go to a simulated Teams channel.")
        return notes
    notes = ["No SEKOIA_API_KEY: running against a simulated tenant."]
    if not receives:
        notes.append("Its made-up alerts go to your own targets, as TEAMS_WEBHOOK_URL or the rules file says.")
    return notes


def _moved(wanted: Ports, ports: Ports, settings: Settings) -> list[str]:
    notes = []
    if wanted.ingest != ports.ingest:
        notes.append(f"Port {wanted.ingest} is taken: the hook is on port {ports.ingest} this time.")
    others = [each.name for each in fields(Ports) if each.name not in {"ingest", "kafka"}]
    names = others if settings.kafka.bootstrap_servers else [*others, "kafka"]
    moved = [(getattr(wanted, name), getattr(ports, name)) for name in names]
    moved = [(before, after) for before, after in moved if before != after]
    if moved:
        notes.append(
            "Other ports taken and moved: " + ", ".join(f"{before} to {after}" for before, after in moved) + "."
        )
    return notes


def _tenant_url(ports: Ports) -> str:
    return f"http://{plan.HOST}:{ports.receivers}"


def _has(secret: SecretStr) -> bool:
    return bool(secret.get_secret_value())
