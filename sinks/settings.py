"""Settings of the sinks that are not the archive."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from sinks.rules import Start


class SinksSettings(BaseSettings):
    """How a process of sinks behaves; what its targets are stands in the rules file."""

    model_config = SettingsConfigDict(
        env_prefix="SINKS_", env_file=".env", extra="ignore", frozen=True, populate_by_name=True
    )

    start: Start = Field(
        "now", description="Where a target without a `start` of its own first begins to read: now, earliest, or a time."
    )
    admin_host: str = "127.0.0.1"
    admin_port: int = Field(8083, ge=0, le=65535, description="Private port of /healthz and /metrics.")
    rules: Path | None = Field(None, validation_alias="TOCSIN_RULES", description="Rules file; default tocsin.yml.")
    teams_webhook_url: SecretStr = Field(
        SecretStr(""),
        validation_alias="TEAMS_WEBHOOK_URL",
        description="A Teams Workflows address; alone, without a rules file, it makes the target `teams`.",
    )
