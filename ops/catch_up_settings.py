"""Settings of the catch-up."""

import os
from datetime import timedelta
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from events.settings import Duration


class CatchUpSettings(BaseSettings):
    """How alerts are found whose webhook never came."""

    model_config = SettingsConfigDict(
        env_prefix="CATCH_UP_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    every: Duration | None = Field(None, gt=timedelta(0), description="Pause between passes; one pass when unset.")
    delay: Duration = Field(
        timedelta(minutes=15),
        ge=timedelta(0),
        description="How long a webhook may be on its way, at least; where the stream or a spool is late, so much more and "
        "5 minutes.",
    )
    silence_after: Duration = Field(
        timedelta(hours=1),
        ge=timedelta(0),
        validation_alias="SILENCE_AFTER",
        description="No webhook for so long while the Alert API shows new alerts is told as an error; 0 where none is meant "
        "to come.",
    )
    admin_host: str = "127.0.0.1"
    admin_port: int = Field(8086, ge=0, le=65535, description="Private port of /healthz and /metrics of the job.")
    data: Path = Field(
        default_factory=lambda: Path(os.environ.get("TOCSIN_DATA", "data")) / "catch-up",
        description="Folder of the point where the next pass goes on.",
    )
