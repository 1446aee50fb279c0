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
    hooks_file: Path | None = Field(
        None,
        description="File of more hooks, a line each: name, SHA-256 of the token, networks if any. Read again when it "
        "changes; `tocsin hooks new NAME` adds to it.",
    )
    networks: str = Field(
        "",
        description="name=network[,name=network…]: where a hook of INGEST_HOOKS may be used from; elsewhere it is 404.",
    )
    trusted_proxies: str = Field(
        "", description="network[,network…] of your proxies, whose X-Forwarded-For tells the sender's address."
    )
    host: str = Field("127.0.0.1", description="Address of the public port: webhooks and nothing else.")
    port: int = Field(8080, ge=1, le=65535)
    tls_cert: Path | None = Field(
        None, description="PEM file of the certificate chain, to speak TLS on the public port."
    )
    tls_key: Path | None = Field(None, description="PEM file of its key; SIGHUP reads both again.")
    workers: int = Field(1, ge=1, le=64, description="Processes behind the one port; one per core at most.")
    max_connections: int = Field(
        10_000,
        ge=1,
        description="Connections of a worker at a time; the one idle for longest makes room for a new one.",
    )
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
