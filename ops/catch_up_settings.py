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
        env_prefix="CATCH_UP_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    every: Duration | None = Field(None, gt=timedelta(0), description="Pause between passes; one pass when unset.")
    delay: Duration = Field(
        timedelta(minutes=15),
        ge=timedelta(0),
        description="How long a webhook may be on its way; longer than the oldest event of any ingest's spool.",
    )
    data: Path = Field(
        default_factory=lambda: Path(os.environ.get("TOCSIN_DATA", "data")) / "catch-up",
        description="Folder of the point where the next pass goes on.",
    )
