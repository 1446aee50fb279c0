"""What ingest can be told from outside."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class IngestSettings(BaseSettings):
    """Where ingest listens, who may post, and where events wait while Kafka is away."""

    model_config = SettingsConfigDict(
        env_prefix="INGEST_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    hooks: SecretStr = Field(
        SecretStr(""),
        description="name=token[,name=token…]; repeat a name to let its old and new token live side by side.",
    )
    host: str = Field("127.0.0.1", description="Address of the public port: webhooks and nothing else.")
    port: int = Field(8080, ge=1, le=65535)
    admin_host: str = Field("127.0.0.1", description="Address of the private port: health and metrics.")
    admin_port: int = Field(8081, ge=1, le=65535)
    spool: Path | None = Field(
        None,
        description="Folder on a disk that stays, shared by this host's workers: events wait there while Kafka is "
        "away. Default TOCSIN_DATA/spool.",
    )
    spool_bytes: int = Field(
        2 * 1024**3, ge=1024**2, description="Disk the spool may take; beyond it the answer is 503 until Kafka is back."
    )
    data: Path = Field(
        Path("data"), validation_alias="TOCSIN_DATA", description="Folder of everything not placed elsewhere."
    )

    def spool_folder(self) -> Path:
        """Return the spool's folder."""
        return (self.spool or self.data / "spool").absolute()
