"""Settings that several rooms read: how to reach Kafka, and how to write a duration."""

import re
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from events.errors import NotReady

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: object) -> object:
    """Read `90s`, `15m`, `24h`, `14d`, `250ms` or plain seconds; anything else is left to pydantic (ISO 8601).

    Raises ValueError for more days than a timedelta holds.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|[smhd]|)\s*", text) if isinstance(text, str) else None
    if not match:
        return text
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2] or "s"])
    except OverflowError:
        raise ValueError("longer than a million years") from None


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


def _is_address(text: str) -> bool:
    match = re.fullmatch(r"(?:[^\s:/\[\]]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", text.strip())
    return match is not None and 0 < int(match[1]) < 65_536  # noqa: PLR2004 - the last port


class VendorLimit(BaseSettings):
    """How often all rooms together may call the vendor's API."""

    model_config = SettingsConfigDict(env_prefix="SEKOIA_", env_file=".env", extra="ignore", frozen=True)

    requests_per_second: float = Field(
        4.5,
        ge=1,
        description="The vendor's guidance is 5 per egress address; half a request is kept for operators and mails.",
    )


class KafkaSettings(BaseSettings):
    """How to reach the cluster, and how its topics are named and sized."""

    model_config = SettingsConfigDict(
        env_prefix="KAFKA_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    bootstrap_servers: str = Field(
        "", description="host:port[,host:port…]; `tocsin up` starts its own Kafka when unset."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."
    )
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ca_file: Path | None = Field(None, description="PEM file of the authority that signed the brokers' certificates.")
    topic_prefix: str = Field("tocsin.", description="Put before every topic, consumer group and transactional id.")
    partitions: int = Field(
        12, ge=1, description="For the life of the topics, unless moved by `tocsin topics migrate`."
    )
    replication_factor: int | None = Field(None, ge=1, description="Default: 3, or the number of brokers if fewer.")
    min_isr: int | None = Field(None, ge=1, description="min.insync.replicas; default: 2 where there are three copies.")

    def client_options(self) -> dict[str, Any]:
        """Return the connection arguments every aiokafka client takes.

        Raises NotReady when no cluster is named, or the authority's file cannot be read.
        """
        if not self.bootstrap_servers:
            raise NotReady(
                "KAFKA_BOOTSTRAP_SERVERS is not set: name your cluster, "
                "or start one with `tocsin broker` or `tocsin up`."
            )
        if not all(_is_address(each) for each in self.bootstrap_servers.split(",")):
            raise NotReady(
                "KAFKA_BOOTSTRAP_SERVERS must be host:port[,host:port…], for example kafka-1:9092,kafka-2:9092."
            )
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = self._ssl_context()
        if self.security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password.get_secret_value()
        return options

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise NotReady(f"KAFKA_CA_FILE cannot be read as PEM certificates: {self.ca_file} ({error}).") from error

    def group(self, name: str) -> str:
        """Return the consumer group of a room or target."""
        return f"{self.topic_prefix}{name}"
