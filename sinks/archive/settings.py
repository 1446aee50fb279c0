"""Settings of the archive."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from events.errors import NotReady
from events.settings import Duration

if TYPE_CHECKING:  # settings are read where Arrow is not installed
    from sinks.archive.storage import Store

_TOPIC = "(enriched|raw|deliveries)"


class ArchiveSettings(BaseSettings):
    """Where the archive is and when a file is closed."""

    model_config = SettingsConfigDict(env_prefix="ARCHIVE_", env_file=".env", extra="ignore", frozen=True)

    url: str = Field(
        "", description="file:///… of a folder, or s3://bucket/prefix; default is the folder TOCSIN_DATA/archive."
    )
    s3_endpoint: str = Field("", description="Address of S3-compatible storage; default AWS.")
    s3_region: str = "us-east-1"
    s3_access_key_id: str = Field("", description="Without one: AWS_ variables, or the role of the machine.")
    s3_secret_access_key: SecretStr = SecretStr("")
    s3_patience: Duration = Field(
        timedelta(seconds=60), gt=timedelta(0), description="How long a call that fails is tried again."
    )
    topics: str = Field(
        "enriched,raw,deliveries",
        pattern=f"^{_TOPIC}(,{_TOPIC})*$",
        description="What is archived: enriched, raw, deliveries, or some of them, with commas between.",
    )
    flush_every: Duration = Field(
        timedelta(seconds=60), gt=timedelta(0), description="A record is in the archive at the latest after this time."
    )
    flush_records: int = Field(50_000, ge=1, description="Records of one partition that make a file, however young.")
    flush_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1,
        description="Bytes of records held in memory; beyond, the largest partition is written.",
    )
    compact_every: Duration = Field(
        timedelta(days=1), ge=timedelta(0), description="How often a day's small files are merged; 0s: never."
    )
    signing_key: Path | None = Field(
        None, description="PEM of the Ed25519 key that signs manifest entries; `tocsin archive key FILE` makes one."
    )
    head_every: Duration = Field(
        timedelta(hours=1), gt=timedelta(0), description="How often a hash that vouches for all before is told."
    )
    accept_gap: bool = Field(
        False, description="Go on after records that left Kafka before they were archived; the manifest names the gap."
    )
    admin_host: str = "127.0.0.1"
    admin_port: int = Field(8084, ge=0, le=65535, description="Private port of /healthz and /metrics.")
    data: Path = Field(
        Path("data"), validation_alias="TOCSIN_DATA", description="Folder of everything not placed elsewhere."
    )

    def store(self) -> "Store":
        """Return where the archive is.

        Raises NotReady for an address that is neither a folder's nor a bucket's.
        """
        if folder := self.folder():
            from sinks.archive.storage import Folder

            return Folder(folder)
        from sinks.archive.bucket import Bucket

        address = self._bucket()
        config = {"region": self.s3_region, "endpoint": self.s3_endpoint, "access_key_id": self.s3_access_key_id}
        if self.s3_access_key_id:
            config["secret_access_key"] = self.s3_secret_access_key.get_secret_value()
        given = {name: value for name, value in config.items() if value}
        return Bucket(address.netloc, unquote(address.path).strip("/"), given, retry=self.s3_patience)

    def folder(self) -> Path | None:
        """Return the archive's folder, None where it is in a bucket; needs no Arrow.

        Raises NotReady for an address that is neither.
        """
        if not self.url.lower().startswith("s3://"):
            return self.root()
        self._bucket()
        return None

    def _bucket(self) -> SplitResult:
        address = urlsplit(self.url)
        if not address.netloc or "@" in address.netloc or address.query or address.fragment:
            raise NotReady("ARCHIVE_URL is not the address of a bucket: write it as s3://bucket/prefix, without keys.")
        return address

    def root(self) -> Path:
        """Return the archive's folder.

        Raises NotReady for an address that is not a folder's; `store` knows buckets too.
        """
        if not self.url:
            return (self.data / "archive").absolute()
        no_folder = NotReady(
            "ARCHIVE_URL is not the address of a folder: write it as file:///path/of/the/folder, %23 for # and %3F for ?."
        )
        try:
            address = urlsplit(self.url)
        except ValueError:
            raise no_folder from None
        if address.scheme in {"s3", "s3a", "gs", "az", "abfs", "http", "https"}:
            raise NotReady(
                f"ARCHIVE_URL starts with {address.scheme}://: name a file:///… folder, or s3://bucket/prefix of "
                "S3-compatible storage."
            )
        path = unquote(address.path)
        here = address.scheme == "file" and address.netloc in {"", "localhost"} and path.startswith("/")
        if not here or address.query or address.fragment or "\0" in path:
            raise no_folder
        return Path(path)
