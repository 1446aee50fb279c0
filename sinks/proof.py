"""How it is known that a target shows what it accepts: the `canary:` of an entry under `targets:`."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from events.settings import Duration

Proof = Literal["read_back", "human", "accepted_only"]

DAILY, WEEKLY = timedelta(days=1), timedelta(days=7)


def address(url: SecretStr) -> SecretStr:
    """Accept what `posting.check_url` does. Raises ValueError, without the address."""
    from sinks.posting import check_url  # a container without an HTTP client explains its commands, too

    return check_url(url)


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ImapSettings(_Settings):
    """A mailbox among the recipients, in which the canary is looked for."""

    server: str = Field(pattern=r"^[A-Za-z0-9.:\-\[\]]{1,253}$", description="Host name of the IMAP server; TLS only.")
    port: int = Field(993, ge=1, le=65_535)
    username: str = Field(min_length=1, max_length=200)
    password: SecretStr
    folder: str = Field("INBOX", pattern=r"^[^\x00-\x1f\x7f\"\\]{1,200}$", description="Read, never changed.")
    ca_file: str | None = Field(None, description="Certificates to trust besides the system's.")


class BotSettings(_Settings):
    """A bot of the Mattermost server that may read the channel."""

    url: Annotated[SecretStr, AfterValidator(address)] = Field(description="Address of the server, without /api.")
    token: SecretStr
    channel: str = Field(pattern=r"^[a-z0-9]{26}$", description="The channel's id, as its page View Info shows it.")


class Canary(_Settings):
    """How a target proves that what it accepts is seen."""

    proof: Proof = "accepted_only"
    every: Duration | None = Field(
        None, ge=timedelta(minutes=1), description="How often it is tried: 1d for read_back, 7d for human by default."
    )
    imap: ImapSettings | None = None
    bot: BotSettings | None = None

    @model_validator(mode="after")
    def _reads_somewhere(self) -> "Canary":
        given = (self.imap is not None) + (self.bot is not None)
        if self.proof == "read_back" and given != 1:
            raise ValueError("read_back needs imap (mail) or bot (Mattermost), and one of them")
        if self.proof != "read_back" and given:
            raise ValueError("imap and bot are for proof: read_back")
        return self

    @property
    def period(self) -> timedelta:
        """How often it is tried."""
        return self.every or (WEEKLY if self.proof == "human" else DAILY)


ACCEPTED_ONLY = Canary()
"""What holds of a target that does not say."""


def unfit(canary: Canary, type_: str) -> str:
    """Say why a target of this type cannot prove itself so; empty when it can."""
    if canary.imap and type_ != "email":
        return "imap reads mail back: it is for type email"
    if canary.bot and type_ != "mattermost":
        return "bot reads a Mattermost channel back: it is for type mattermost"
    return ""
