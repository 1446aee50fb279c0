"""A connection to an SMTP server that is used for several mails: the one file that speaks SMTP."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email.message import EmailMessage

import aiosmtplib

TIMEOUT = 30.0
"""Seconds for each step of the dialogue."""

GOODBYE = 2.0
"""Seconds the server may take to answer the last word; the mail is its by then."""

STILL_THERE = 10.0
"""Seconds a server may take to say that a kept connection is still good."""

MAILS, IDLE, LONGEST = 50, 20.0, 600.0
"""After how many mails, seconds without one, and seconds in all a connection is given up.

A server waits five minutes for the next command (RFC 5321 §4.5.3.2.7), but many do not let one client have their time.
"""

Refused = dict[str, tuple[int, str]]
"""The recipients the server refused, each with its answer."""

_FAILED = (OSError, aiosmtplib.SMTPException)


class SmtpLine:
    """Hand mails over, one at a time, on as few connections as the bounds allow."""

    def __init__(
        self,
        dial: Callable[[], Awaitable[socket.socket]],
        client: Callable[[socket.socket], aiosmtplib.SMTP],
    ) -> None:
        """Take what opens a checked connection, and what speaks SMTP over one."""
        self._dial = dial
        self._make = client
        self._client: aiosmtplib.SMTP | None = None
        self._socket: socket.socket | None = None
        self._mails = 0
        self._opened_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._leaving: asyncio.Task[None] | None = None

    async def send(self, mail: EmailMessage, sender: str, waiting: list[str]) -> Refused:
        """Hand a mail over and return the recipients the server refused.

        A kept connection that is no longer good is replaced before anything of the mail was said. Raises OSError,
        SMTPException.
        """
        self._stay()
        if not await self._still_there():
            await self._open()
        client = self._client
        assert client  # noqa: S101 - opened just now
        try:
            refused = await _hand_over(client, mail, sender, waiting)
        except BaseException:
            self._drop()
            raise
        self._mails += 1
        if self._mails >= MAILS or asyncio.get_running_loop().time() - self._opened_at >= LONGEST:
            await self.hang_up()
        else:
            self._timer = asyncio.get_running_loop().call_later(IDLE, self._leave)
        return refused

    async def hang_up(self) -> None:
        """Say goodbye, where there is anybody to say it to; what was taken stays taken."""
        self._stay()
        if self._leaving:
            await asyncio.wait([self._leaving])
        await self._goodbye()

    async def _goodbye(self) -> None:
        client = self._client
        if client is None:
            return
        try:
            with suppress(*_FAILED):
                await client.quit(timeout=GOODBYE)
        finally:
            self._drop()

    def _leave(self) -> None:
        self._leaving = asyncio.create_task(self._goodbye())
        self._leaving.add_done_callback(self._left)

    def _left(self, _task: asyncio.Task[None]) -> None:
        self._leaving = None

    def _stay(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    async def _still_there(self) -> bool:
        """Ask the server whether a kept connection is good; the answer also clears what an earlier mail left."""
        if self._leaving:
            await asyncio.wait([self._leaving])
        if self._client is None:
            return False
        try:
            await self._client.rset(timeout=STILL_THERE)
        except _FAILED:
            self._drop()
            return False
        except BaseException:
            self._drop()
            raise
        return True

    async def _open(self) -> None:
        self._socket = await self._dial()
        self._client = self._make(self._socket)
        try:
            await self._client.connect()
        except BaseException:
            self._drop()
            raise
        self._mails, self._opened_at = 0, asyncio.get_running_loop().time()

    def _drop(self) -> None:
        client, connection, self._client, self._socket = self._client, self._socket, None, None
        if client:
            client.close()
        if connection:
            with suppress(OSError):  # a polite end of TLS would wait for the other side
                connection.shutdown(socket.SHUT_RDWR)


async def _hand_over(client: aiosmtplib.SMTP, mail: EmailMessage, sender: str, waiting: list[str]) -> Refused:
    try:
        refused, _ = await client.send_message(mail, sender=sender, recipients=waiting)
    except aiosmtplib.SMTPRecipientsRefused as error:
        return {one.recipient: (one.code, one.message) for one in error.recipients}
    return {address: (answer.code, answer.message) for address, answer in refused.items()}


def trust(ca_file: str | None) -> ssl.SSLContext:
    """Return what certificates are checked by.

    Raises OSError for a file that holds none.
    """
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    return context
