"""Settings of the watch."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from events.errors import NotReady
from events.settings import Duration
from sinks.proof import address


def _address(url: SecretStr) -> SecretStr:
    return address(url) if url.get_secret_value() else url


class WatchSettings(BaseSettings):
    """How the pipeline watches itself, and when it tells operators."""

    model_config = SettingsConfigDict(
        env_prefix="WATCH_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    rooms: str = Field(
        "ingest=http://127.0.0.1:8081,stream=http://127.0.0.1:8082,sinks=http://127.0.0.1:8083,"
        "archive=http://127.0.0.1:8084,inbox=http://127.0.0.1:8085",
        description="Private addresses of every process that is watched: name=address[,name=address…]. Of a host name with "
        "several addresses, as a headless service has, all are watched.",
    )
    every: Duration = Field(timedelta(seconds=5), gt=timedelta(0), description="Pause between two looks.")
    patience: Duration = Field(
        timedelta(minutes=2),
        ge=timedelta(0),
        description="How long a room, a target, Kafka or the Alert API must be away before it is told.",
    )
    hold: Duration = Field(
        timedelta(minutes=1), ge=timedelta(0), description="How long all must be well before a recovery is told."
    )
    window: Duration = Field(
        timedelta(minutes=15), gt=timedelta(0), description="How far back dead letters, refusals and restarts count."
    )
    restarts: int = Field(3, ge=1, description="More starts of a room than this within WATCH_WINDOW are told.")
    oldest: Duration = Field(
        timedelta(minutes=5),
        gt=timedelta(0),
        description="Age of the oldest waiting record above which a group is late.",
    )
    lag: int = Field(100_000, ge=1, description="Records that wait for a group above which it is late.")
    disk_free: int = Field(
        1_000_000_000, ge=0, description="Bytes a disk (of a spool, or of TOCSIN_DATA here) must have left."
    )
    runbook: str = Field(
        "", description="Where your docs/runbook.md is read, https://…; makes the link in messages one to click."
    )
    canary_url: str = Field(
        "", description="Address under which people reach the page that confirms a canary, as your proxy serves it."
    )
    canary_host: str = Field("127.0.0.1", description="Where the watch listens for that page.")
    canary_port: int = Field(
        8071, ge=0, le=65535, description="Its port; it is open only when WATCH_CANARY_URL is set."
    )
    admin_host: str = "127.0.0.1"
    admin_port: int = Field(8087, ge=0, le=65535, description="Private port of /healthz and /metrics of the watch.")
    heartbeat_url: Annotated[SecretStr, AfterValidator(_address)] = Field(
        SecretStr(""),
        validation_alias="HEARTBEAT_URL",
        description="Address of an outside service that misses a call: asked for (GET) while the watch looks and nothing waits to be told.",
    )
    heartbeat_every: Duration = Field(
        timedelta(minutes=1),
        gt=timedelta(0),
        validation_alias="HEARTBEAT_EVERY",
        description="Pause between such calls.",
    )
    data: Path = Field(
        Path("data"), validation_alias="TOCSIN_DATA", description="Folder of everything not placed elsewhere."
    )

    @property
    def folder(self) -> Path:
        """What the watch remembers: which conditions it has told, and its canaries."""
        return self.data / "watch"

    def room_addresses(self) -> dict[str, str]:
        """Return the rooms' private addresses by name.

        Raises NotReady for an entry that is not name=address.
        """
        found = {}
        for entry in filter(None, (text.strip() for text in self.rooms.split(","))):
            name, _, address = entry.partition("=")
            if not name or not address.startswith(("http://", "https://")):
                raise NotReady("WATCH_ROOMS: write it as name=http://host:port[,name=http://host:port…].")
            found[name] = address.rstrip("/")
        return found
