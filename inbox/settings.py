"""Settings of the inbox."""

import ipaddress
from datetime import timedelta
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from events.errors import NotReady
from events.settings import Duration

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class InboxSettings(BaseSettings):
    """Where the page of all notifications is, who gets in, and how much it keeps."""

    model_config = SettingsConfigDict(
        env_prefix="INBOX_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    host: str = Field(
        "127.0.0.1",
        description="Address of the page. Beyond this machine it needs INBOX_USER_HEADER or personal links.",
    )
    port: int = Field(8070, ge=1, le=65535)
    admin_host: str = Field("127.0.0.1", description="Address of the private port: health and metrics.")
    admin_port: int = Field(8085, ge=1, le=65535)
    database: Path | None = Field(
        None, description="SQLite file on a local disk that stays; default TOCSIN_DATA/inbox/inbox.db."
    )
    user_header: str = Field(
        "", description="Header in which a proxy with single sign-on names the user, for example X-Forwarded-User."
    )
    trusted_networks: str = Field(
        "", description="Networks of those proxies, 10.0.0.0/8,fd00::/8 for example; the header of others is ignored."
    )
    retention: Duration = Field(
        timedelta(days=30), gt=timedelta(0), description="How long an alert nothing happens to stays in the inbox."
    )
    keep: int = Field(200_000, ge=1000, description="Notifications the inbox holds at most; the oldest make room.")
    keep_bytes: int = Field(
        4 * 1024**3, ge=16 * 1024**2, description="Bytes its database may take; the oldest make room."
    )
    burst: Duration = Field(
        timedelta(minutes=15), description="Alerts of one rule or entity that follow within this time are one row."
    )
    history: Duration = Field(
        timedelta(days=7), description="How far back the first start reads; later starts go on where the last ended."
    )
    accept_gap: bool = Field(
        False, description="Go on after records that left Kafka before they were read; the inbox lacks them."
    )
    rooms: str = Field(
        "ingest=http://127.0.0.1:8081,stream=http://127.0.0.1:8082,sinks=http://127.0.0.1:8083,"
        "archive=http://127.0.0.1:8084",
        description="Private addresses of the rooms, for the pipeline page: name=address[,name=address…]. Of a host name "
        "with several addresses, as a headless service has, all are asked.",
    )
    data: Path = Field(
        Path("data"), validation_alias="TOCSIN_DATA", description="Folder of everything not placed elsewhere."
    )

    def path(self) -> Path:
        """Return the database's file."""
        return (self.database or self.data / "inbox" / "inbox.db").absolute()

    def networks(self) -> tuple[Network, ...]:
        """Return the networks whose proxies are believed.

        Raises NotReady for one that is not written as a network, and for a header that nobody may set.
        """
        texts = [text.strip() for text in self.trusted_networks.split(",") if text.strip()]
        try:
            found = tuple(ipaddress.ip_network(text) for text in texts)
        except ValueError as error:
            raise NotReady(f"INBOX_TRUSTED_NETWORKS: {error}; write networks as 10.0.0.0/8,fd00::/8.") from error
        if self.user_header and not found:
            raise NotReady(
                "INBOX_USER_HEADER is set, but nobody is trusted to send it: "
                "name the networks of your proxies in INBOX_TRUSTED_NETWORKS."
            )
        return found

    def room_addresses(self) -> dict[str, str]:
        """Return the rooms' private addresses by name.

        Raises NotReady for an entry that is not name=address.
        """
        found = {}
        for entry in filter(None, (text.strip() for text in self.rooms.split(","))):
            name, _, address = entry.partition("=")
            if not name or not address.startswith(("http://", "https://")):
                raise NotReady("INBOX_ROOMS: write it as name=http://host:port[,name=http://host:port…].")
            found[name] = address.rstrip("/")
        return found

    def local(self) -> bool:
        """Tell whether only this machine reaches the page."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
