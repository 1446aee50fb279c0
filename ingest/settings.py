"""What ingest can be told from outside."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class IngestSettings(BaseSettings):
    """Where ingest listens, and who may post."""

    model_config = SettingsConfigDict(env_prefix="INGEST_", env_file=".env", extra="ignore", frozen=True)

    hooks: SecretStr = Field(
        SecretStr(""),
        description="name=token[,name=token…]; repeat a name to let its old and new token live side by side.",
    )
    host: str = Field("127.0.0.1", description="Address of the public port: webhooks and nothing else.")
    port: int = Field(8080, ge=1, le=65535)
    admin_host: str = Field("127.0.0.1", description="Address of the private port: health and metrics.")
    admin_port: int = Field(8081, ge=1, le=65535)
