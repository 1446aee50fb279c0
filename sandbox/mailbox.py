"""A mail server for one machine: it takes every mail for everybody, keeps it for the page, and sends nothing on."""

import asyncio
import contextlib
import email
import email.policy
from collections.abc import AsyncIterator
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, Envelope, Session

from events.errors import NotReady
from sandbox.endpoints import Endpoints
from sandbox.serving import HOST

MAX_BYTES = 1024 * 1024
"""Of a mail; what is larger is answered 552, as a real server does."""


class Mailbox:
    """Takes mails without asking who sends them; it listens on this machine only."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the library's name
        """Take a mail."""
        raw = envelope.content if isinstance(envelope.content, bytes) else b""
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        self._endpoints.mail(_shown(mail, [str(one) for one in envelope.rcpt_tos]))
        return "250 OK"

    @contextlib.asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[int]:
        """Listen for as long as a block runs and yield the port.

        Raises NotReady when it is taken.
        """
        loop, dialogues = asyncio.get_running_loop(), []

        def dialogue() -> SMTP:
            dialogues.append(SMTP(self, hostname=HOST, data_size_limit=MAX_BYTES, loop=loop))
            return dialogues[-1]

        try:
            server = await loop.create_server(dialogue, HOST, port)
        except OSError as error:
            raise NotReady(f"Port {port} of {HOST} is taken ({error.strerror}); choose another one.") from error
        async with server:
            yield server.sockets[0].getsockname()[1]
            for one in dialogues:
                if one.transport:
                    one.transport.close()


def _shown(mail: EmailMessage, recipients: list[str]) -> dict[str, object]:
    names = ("Subject", "From", "To", "Message-ID", "References", "Importance")
    bodies = {kind: mail.get_body((part,)) for kind, part in (("text", "plain"), ("html", "html"))}
    texts = {kind: body.get_content() if body else "" for kind, body in bodies.items()}
    return {name.lower(): str(mail[name] or "") for name in names} | texts | {"recipients": recipients}
