"""Settings of the stream, and of the vendor's API it asks."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from events.settings import Duration, VendorLimit

Region = Literal["FRA1", "FRA2", "MCO1", "UAE1", "USA1", "SGP1"]


class StreamSettings(BaseSettings):
    """How the stream remembers and how long it waits."""

    model_config = SettingsConfigDict(env_prefix="STREAM_", env_file=".env", extra="ignore", frozen=True)

    dedupe_window: Duration = Field(timedelta(hours=24), description="How long an event id is remembered.")
    enrich_deadline: Duration = Field(
        timedelta(seconds=3),
        description="How long after its arrival an event waits for the Alert API before it goes on.",
    )
    batch_size: int = Field(
        100,
        ge=1,
        le=100,
        description="Alerts asked for in one call of the list endpoint, at most; halved where a proxy finds that too long.",
    )
    batch_delay: Duration = Field(timedelta(milliseconds=20), description="How long a call waits for company.")
    admin_host: str = "127.0.0.1"
    admin_port: int = Field(8082, ge=0, le=65535, description="Private port of /healthz and /metrics.")
    data: Path = Field(
        default_factory=lambda: Path(os.environ.get("TOCSIN_DATA", "data")) / "stream",
        description="Scratch folder of Faust; nothing in it is needed after a restart.",
    )


class SekoiaSettings(VendorLimit):
    """Where the vendor's API and web application are, and the key."""

    model_config = SettingsConfigDict(env_prefix="SEKOIA_", env_file=".env", extra="ignore", frozen=True)

    api_key: SecretStr = Field(SecretStr(""), description="Needs the permission SIC_READ_ALERTS (View alerts).")
    region: Region = Field("FRA1", description="Preset of the two addresses below.")
    api_base: str = Field("", description="Address to which /v1/… is appended; default by region.")
    app_base: str = Field("", description="Address of the web application, for links; default by region.")

    def api(self) -> str:
        """Return the API's base without a trailing slash or `/v1`."""
        base = self.api_base or ("https://api.sekoia.io" if self.region == "FRA1" else f"{self._host()}/api")
        return base.rstrip("/").removesuffix("/v1").replace("/api/api", "/api")

    def app(self) -> str:
        """Return the web application's base without a trailing slash."""
        return (self.app_base or self._host()).rstrip("/")

    def _host(self) -> str:
        return "https://app.sekoia.io" if self.region == "FRA1" else f"https://app.{self.region.lower()}.sekoia.io"
