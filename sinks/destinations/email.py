"""E-mail, through an SMTP server."""

import asyncio
import re
import socket
import ssl
from dataclasses import dataclass, field
from typing import Annotated, Literal

import aiosmtplib
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from events.errors import NotReady
from events.records import EnrichedEvent
from events.settings import VendorLimit
from events.slots import OperatorsBudget, Slots
from sinks import egress
from sinks.alert_details import AlertDetails, Details
from sinks.destination import Delivered, Destination, TargetSettings, Unavailable, Undeliverable
from sinks.mail import ADDRESS, compose
from sinks.posting import check_url
from sinks.responses import quote
from sinks.smtp_line import TIMEOUT, SmtpLine, trust

REMEMBERED = 1_000
"""Mails of which it is remembered who has them while somebody has not."""

_FOR_EVER, _TOO_LARGE = 500, 552
"""Replies that the same mail would meet again; 552 to MAIL FROM is about its size (RFC 1870), others there are not."""


def _address(text: str) -> str:
    if not ADDRESS.fullmatch(text):
        raise ValueError("write a plain address such as soc@example.org")
    return text


Address = Annotated[str, AfterValidator(_address)]


class EmailSettings(TargetSettings):
    """Recipients, and the server that takes mail to them."""

    server: str = Field(pattern=r"^[A-Za-z0-9.:\-\[\]]{1,253}$", description="Host name of the SMTP server.")
    port: int = Field(587, ge=1, le=65_535)
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="starttls (587), tls from the first byte (465), or none on a network you trust."
    )
    username: str | None = None
    password: SecretStr | None = None
    sender: Address
    to: Annotated[list[Address], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)] = Field(
        min_length=1, max_length=100
    )
    form: Literal["simple", "enriched"] = Field("simple", description="Title and link only, or what is known as well.")
    api_key: SecretStr | None = Field(
        None, description="Has comments and countermeasures in the enriched form; needs SIC_READ_ALERTS (View alerts)."
    )
    api: Annotated[SecretStr, AfterValidator(check_url)] = Field(
        SecretStr("https://api.sekoia.io"), description="Where the Alert API of your region is, without /v1."
    )
    ca_file: str | None = Field(None, description="Certificates to trust besides the system's.")

    @model_validator(mode="after")
    def _credentials(self) -> "EmailSettings":
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password are given together or not at all")
        if self.password is not None and self.security == "none":
            raise ValueError("a password is not sent without TLS: use starttls or tls")
        if self.api_key is not None and self.form != "enriched":
            raise ValueError("api_key has alerts looked up for a mail that does not show them: set form: enriched")
        return self


@dataclass
class _Attempt:
    """A mail that is not yet with everybody: what was looked up for it, and who has it."""

    details: Details | None
    reached: set[str] = field(default_factory=set)


class Email(Destination[EmailSettings]):
    """Send each event as a mail, each recipient on their own.

    The Message-ID is made of event id and revision and the same in every attempt: many mailboxes show such a mail once.
    """

    Settings = EmailSettings
    marks_attempts = False
    named = 200

    async def open(self) -> None:
        """Read the certificates once; a connection is made when there is mail, and kept for the next for a while.

        Raises NotReady for a `ca_file` that holds none.
        """
        self._attempts: dict[tuple[str, int], _Attempt] = {}
        key = self.settings.api_key
        self._details = None
        if key:
            api = self.settings.api.get_secret_value()
            budget = OperatorsBudget(Slots(VendorLimit().requests_per_second), api)
            self._details = AlertDetails(api, key, budget.leave)
            await self._details.open(self.resources)
        self._name = _own_name(self.settings.sender)
        self._tls = await asyncio.to_thread(_trust, self.settings.ca_file)
        guard = egress.Guard(self.settings.server, self.settings.port, secure=True)
        self._line = SmtpLine(guard.connect, self._client)
        self.resources.push_async_callback(self._line.hang_up)

    async def deliver(self, event: EnrichedEvent) -> Delivered:
        """Send the mail to those whom an earlier attempt did not reach."""
        settings = self.settings
        attempt = await self._attempt(event)
        enriched = settings.form == "enriched"
        mail = compose(event, sender=settings.sender, to=settings.to, enriched=enriched, details=attempt.details)
        waiting = [address for address in settings.to if address not in attempt.reached]
        try:
            refused = await self._line.send(mail, settings.sender, waiting)
        except (OSError, aiosmtplib.SMTPException) as error:
            raise _failure(error) from None
        attempt.reached.update(set(waiting) - set(refused))
        if any(code < _FOR_EVER for code, _ in refused.values()):
            raise Unavailable(_said(refused))
        del self._attempts[event.event_id, event.revision]
        if not attempt.reached:
            raise Undeliverable(_said(refused))
        status = f"accepted for {len(attempt.reached)} of {len(settings.to)}"
        return Delivered(f"{status}, {_said(refused)}" if refused else status, outcome="accepted")

    async def _attempt(self, event: EnrichedEvent) -> _Attempt:
        """Return what was begun for this event, or begin: the alert is looked up once, whatever becomes of the mail."""
        key = event.event_id, event.revision
        if key not in self._attempts:
            self._attempts[key] = _Attempt(await self._details.of(event) if self._details else None)
            while len(self._attempts) > REMEMBERED:
                del self._attempts[next(iter(self._attempts))]
        return self._attempts[key]

    def _client(self, connection: socket.socket) -> aiosmtplib.SMTP:
        settings = self.settings
        return aiosmtplib.SMTP(
            hostname=settings.server,
            local_hostname=self._name,
            sock=connection,
            username=settings.username,
            password=settings.password.get_secret_value() if settings.password else None,
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            tls_context=self._tls,
            timeout=TIMEOUT,
        )


def _own_name(sender: str) -> str:
    """Return what to say hello with: a full name, which some servers insist on, without asking the network for it."""
    name = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())
    return name if "." in name else f"{name}.{sender.rpartition('@')[2]}"


def _trust(ca_file: str | None) -> ssl.SSLContext:
    try:
        return trust(ca_file)
    except (OSError, ssl.SSLError):
        raise NotReady(f"{ca_file} holds no certificates that can be read (`ca_file` of an e-mail target).") from None


def _failure(error: Exception) -> Unavailable | Undeliverable:
    """Say what a failed dialogue means: a server that cannot be used is waited for, a mail it refuses is not."""
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return Unavailable(f"the server refused user name and password (SMTP {error.code})")
    if isinstance(error, aiosmtplib.SMTPSenderRefused) and error.code == _TOO_LARGE:
        return Undeliverable(f"SMTP {error.code}{quote(error.message.encode())}")
    if isinstance(error, aiosmtplib.SMTPDataError) and error.code >= _FOR_EVER:
        return Undeliverable(f"SMTP {error.code}{quote(error.message.encode())}")
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return Unavailable(f"SMTP {error.code}{quote(error.message.encode())}")
    return Unavailable(f"no mail could be handed over: {type(error).__name__}")


def _said(refused: dict[str, tuple[int, str]]) -> str:
    # Whom: the operator knows the addresses, and a receipt is not where they should be listed.
    code, text = next(iter(refused.values()))
    return f"{len(refused)} refused: SMTP {code}{quote(text.encode())}"
