"""Looking whether a canary is where its readers look: in a mailbox by IMAP, in a Mattermost channel by a bot's token."""

import asyncio
import imaplib
import socket
import ssl
from contextlib import AsyncExitStack

from sinks import egress
from sinks.destination import Unavailable
from sinks.posting import Poster
from sinks.proof import BotSettings, Canary, ImapSettings
from sinks.text import clean

EVERY = 1.0
"""Seconds between two looks."""
MAIL_WITHIN, CHAT_WITHIN = 90.0, 20.0
"""Seconds for a canary to appear."""
STEP = 15.0
"""Seconds for each step of a dialogue."""
PAGE = 2 * 1024 * 1024
OK = 200


class Unreadable(Exception):
    """The place could not be looked at; the text says why and holds no secret."""


async def find(canary: Canary, mark: str, within: float | None = None) -> str:
    """Look until the mark is there, once at least, and return what is wrong, empty when it was found."""
    look, usual = (_mail, MAIL_WITHIN) if canary.imap else (_chat, CHAT_WITHIN)
    clock = asyncio.get_running_loop().time
    end = clock() + (usual if within is None else within)
    while True:
        try:
            if await look(canary, mark):
                return ""
            trouble = "it was accepted and is not there"
        except (Unreadable, Unavailable) as error:
            trouble = f"the place to look in cannot be read: {error}"
        if clock() >= end:
            return trouble
        await asyncio.sleep(EVERY)


async def _chat(canary: Canary, mark: str) -> bool:
    """Look through the newest posts of the channel (developers.mattermost.com/api-documentation, getPostsForChannel)."""
    bot = canary.bot
    assert isinstance(bot, BotSettings)  # noqa: S101 - the settings' own validator
    async with AsyncExitStack() as resources:
        poster = Poster(bot.url)
        await poster.open(resources)
        answer = await poster.get(
            f"/api/v4/channels/{bot.channel}/posts?per_page=60",
            {"Authorization": f"Bearer {bot.token.get_secret_value()}", "Accept": "application/json"},
            limit=PAGE,
            deadline=STEP,
        )
    if answer.status != OK:
        raise Unreadable(f"HTTP {answer.status}")
    return mark.encode() in answer.body


async def _mail(canary: Canary, mark: str) -> bool:
    imap = canary.imap
    assert isinstance(imap, ImapSettings)  # noqa: S101 - the settings' own validator
    try:
        connection = await egress.Guard(imap.server, imap.port, secure=True).connect()
    except OSError as error:
        raise Unreadable(f"no answer: {type(error).__name__}") from None
    try:
        return await asyncio.to_thread(_search, imap, connection, mark)
    except imaplib.IMAP4.error as error:
        said = error.args[0] if error.args else ""
        raise Unreadable(clean(said.decode("utf-8", "replace") if isinstance(said, bytes) else said, 100)) from None
    except (OSError, ssl.SSLError) as error:
        raise Unreadable(type(error).__name__) from None
    finally:
        connection.close()


class _Imap(imaplib.IMAP4):
    """IMAP over TLS on a connection whose address was checked."""

    def __init__(self, settings: ImapSettings, connection: socket.socket) -> None:
        self._settings = settings
        self._connection = connection
        super().__init__(settings.server, settings.port, STEP)

    def open(self, _host: str = "", _port: int = 993, _timeout: float | None = None) -> None:
        """Speak TLS from the first byte, to the name that is in the rules file."""
        self._connection.settimeout(STEP)
        context = ssl.create_default_context()
        if self._settings.ca_file:
            context.load_verify_locations(cafile=self._settings.ca_file)
        self.sock = context.wrap_socket(self._connection, server_hostname=self._settings.server)
        self.file = self.sock.makefile("rb")


def _search(settings: ImapSettings, connection: socket.socket, mark: str) -> bool:
    client = _Imap(settings, connection)
    try:
        client.login(settings.username, settings.password.get_secret_value())
        said, _ = client.select(f'"{settings.folder}"', readonly=True)
        if said != "OK":
            raise Unreadable("there is no such folder")
        said, found = client.search(None, "SUBJECT", f'"{mark}"')
        return said == "OK" and bool(found and found[0] and found[0].split())
    finally:
        client.shutdown()
