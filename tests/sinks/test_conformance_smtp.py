"""What every destination that speaks SMTP does with every answer a server can give, against aiosmtpd."""

import asyncio
import email
import email.policy
import importlib.util
import json
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult

from sinks import shelf
from sinks.destination import Delivered, Destination, Unavailable, Undeliverable

_spec = importlib.util.spec_from_file_location("hostile", Path(__file__).with_name("hostile.py"))
assert _spec
assert _spec.loader
hostile = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hostile)

SECRET = "s3cr3tT0ken"
SAMPLES = Path(__file__).with_name("conformance")
READ = {path.stem: json.loads(path.read_text("utf-8")) for path in SAMPLES.glob("*.json")}
SHELF = {type_: sample["smtp"] for type_, sample in READ.items() if "smtp" in sample}
LOGIN = {"username": "soc", "password": SECRET}

Result = Delivered | Unavailable | Undeliverable


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return SimpleNamespace(context=context, ca_file=str(path))


class Server:
    """A server that answers each step as told, and keeps what it took."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.mails: list[SimpleNamespace] = []
        self.logins: list[bytes] = []
        self.dialogues: list[SMTP] = []

    async def handle_MAIL(self, _server, _session, envelope, address, options) -> str:  # noqa: N802
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(self, _server, _session, envelope, address, _options) -> str:  # noqa: N802
        answer = self.answers.get("RCPT", "250 OK")
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server, session, envelope) -> str:  # noqa: N802
        answer = self.answers.get("DATA", "250 OK")
        if answer.startswith("2"):
            self.mails.append(SimpleNamespace(content=envelope.content, tls=session.ssl is not None))
        return answer

    def authenticate(self, _server, _session, _envelope, _mechanism, data) -> AuthResult:
        self.logins.append(data.password)
        return AuthResult(success=data.password == SECRET.encode(), handled=False)

    async def listening(self, port: int = 0, **options) -> asyncio.Server:
        """Listen; `ssl` has TLS from the first byte, `tls_context` offers STARTTLS."""
        first_byte = options.pop("ssl", None)

        def protocol() -> SMTP:
            self.dialogues.append(SMTP(self, hostname="localhost", authenticator=self.authenticate, **options))
            return self.dialogues[-1]

        return await asyncio.get_running_loop().create_server(protocol, "localhost", port, ssl=first_byte)

    async def hang_up(self) -> None:
        for dialogue in self.dialogues:
            if dialogue.transport:
                dialogue.transport.abort()
        for _ in range(3):  # the loop tells the dialogues of it
            await asyncio.sleep(0)


def opened(type_: str, port: int, **changes) -> Destination:
    found = shelf.find(type_)
    return found(found.Settings.model_validate(SHELF[type_] | {"port": port} | changes))


async def outcome(destination: Destination, event=None) -> Result:
    try:
        return await destination.deliver(event or hostile.event())
    except (Unavailable, Undeliverable) as error:
        return error


async def against(type_: str, server: Server, *events, options: dict | None = None, **changes) -> list[Result]:
    async with await server.listening(**(options or {})) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with opened(type_, port, **changes) as destination:
            results = [await outcome(destination, event) for event in events or [None]]
        await server.hang_up()
    return results


Handling = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def raw(type_: str, handle: Handling, **changes) -> Result:
    """Deliver to something that is no mail server."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        except ConnectionError:
            pass  # the client has heard enough
        finally:
            writer.transport.abort()

    async with await asyncio.start_server(serve, "localhost", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with opened(type_, port, **changes) as destination:
            return await outcome(destination)


@pytest.mark.parametrize("type_", SHELF)
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("hundred", [400, 500])
def test_every_refusal_of_every_step(type_, step, hundred):
    """421 ends the connection, 552 at MAIL is about the size of this one mail; else a sender nobody takes is waited for."""
    server = Server()

    async def scenario() -> dict[int, type]:
        found = {}
        async with await server.listening() as listening:
            destination = opened(type_, listening.sockets[0].getsockname()[1])
            await destination.open()
            for code in range(hundred, hundred + 100):
                server.answers[step] = f"{code} said {code}"
                result = await outcome(destination)
                assert code == 421 or str(code) in result.reason
                found[code] = type(result)
            await destination.resources.aclose()
            await server.hang_up()
        return found

    for_ever = {code for code in range(500, 600) if step != "MAIL" or code == 552}
    expected = {code: Undeliverable if code in for_ever else Unavailable for code in range(hundred, hundred + 100)}
    assert asyncio.run(scenario()) == expected
    assert server.mails == []


@pytest.mark.parametrize("type_", SHELF)
@pytest.mark.parametrize("banner", ["220 ready", "421 busy", "554 no service here", "220 " + "x" * 100_000, "nonsense"])
def test_a_server_that_says_hello_and_goes(type_, banner):
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(banner.encode() + b"\r\n")
        await writer.drain()

    result = asyncio.run(raw(type_, greet))
    assert isinstance(result, Unavailable)
    assert len(result.reason) < 400


@pytest.mark.parametrize("type_", SHELF)
def test_no_answer_at_all(type_, monkeypatch):
    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"220-" + b"x" * 1_000 + b"\r\n")
            await writer.drain()

    monkeypatch.setattr(f"sinks.destinations.{type_}.TIMEOUT", 0.3)
    for broken in (reset, hang, endless):
        result = asyncio.run(raw(type_, broken))
        assert isinstance(result, Unavailable), broken
        assert len(result.reason) < 400

    async def refused() -> Result:
        async with opened(type_, 1) as destination:
            return await outcome(destination)

    assert isinstance(asyncio.run(refused()), Unavailable)


@pytest.mark.parametrize("type_", SHELF)
def test_tls_from_the_first_byte_and_starttls(type_, certificate):
    first, later = {"ssl": certificate.context}, {"tls_context": certificate.context, "require_starttls": True}
    for security, options in (("tls", first), ("starttls", later)):
        server = Server()
        # What has TLS from the first byte looks to this server's login like a dialogue without.
        served = {**options, "auth_require_tls": security == "starttls"}
        changes = {"security": security, "ca_file": certificate.ca_file, **LOGIN}
        (result,) = asyncio.run(against(type_, server, options=served, **changes))
        assert isinstance(result, Delivered), (security, result)
        assert server.logins == [SECRET.encode()]
        assert len(server.mails) == 1


@pytest.mark.parametrize("type_", SHELF)
def test_what_is_not_as_set_gets_neither_mail_nor_password(type_, certificate, monkeypatch):
    monkeypatch.setattr(f"sinks.destinations.{type_}.TIMEOUT", 0.5)
    trusted = {"ca_file": certificate.ca_file, **LOGIN}
    for security, options in (
        ("starttls", {"auth_require_tls": False}),  # not offered: somebody may have cut it out of the dialogue
        ("tls", {"auth_require_tls": False}),
        ("starttls", {"ssl": certificate.context, "auth_require_tls": False}),
    ):
        server = Server()
        (result,) = asyncio.run(against(type_, server, options=options, security=security, **trusted))
        assert isinstance(result, Unavailable), security
        assert (server.logins, server.mails) == ([], [])
    server = Server()
    unknown = {"security": "tls", **LOGIN}
    (result,) = asyncio.run(against(type_, server, options={"ssl": certificate.context}, **unknown))
    assert isinstance(result, Unavailable)
    assert server.logins == []


@pytest.mark.parametrize("type_", SHELF)
def test_the_secret_is_told_to_nobody_but_the_server(type_, certificate, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # the server's own, which tells what it read
    tls = {"security": "starttls", "ca_file": certificate.ca_file}
    for password in (SECRET, f"not-{SECRET}"):
        options = {"tls_context": certificate.context}
        (result,) = asyncio.run(against(type_, Server(), options=options, username="soc", password=password, **tls))
        assert isinstance(result, Delivered) == (password == SECRET)
        assert SECRET not in repr(result)
    assert SECRET not in caplog.text
    assert SECRET not in repr(opened(type_, 1, **tls, **LOGIN).settings)


@pytest.mark.parametrize("type_", SHELF)
def test_no_event_is_an_error(type_):
    events = [hostile.event(*["😀<b>" * 20_000] * 5), hostile.event(*[" ".join(hostile.PIECES)] * 6)]
    events += [hostile.event(*[""] * 6, urgency=None), hostile.event(title="\r\nBcc: victim@example.org\r\n\r\nx")]
    for form in ("simple", "enriched"):
        server = Server()
        results = asyncio.run(against(type_, server, *events, form=form))
        assert [type(one) for one in results] == [Delivered] * len(events)
        for mail in server.mails:
            read = email.message_from_bytes(mail.content, policy=email.policy.default)
            assert read["Bcc"] is None
            assert not read.defects
            assert len(mail.content) < 500_000


@pytest.mark.parametrize("type_", SHELF)
def test_the_same_event_again_is_the_same_message(type_):
    server = Server()
    other = hostile.event("another").model_copy(update={"event_id": "e2"})
    asyncio.run(against(type_, server, hostile.event(), hostile.event(), other))
    first, again, third = (email.message_from_bytes(mail.content) for mail in server.mails)
    said = READ[type_]["stable_header"]
    assert first[said] == again[said] != third[said]


@pytest.mark.parametrize("type_", SHELF)
def test_cancelled_in_the_middle_it_ends(type_):
    async def scenario() -> None:
        asked = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 ready\r\n")
            await reader.readline()
            asked.set()
            await reader.read()

        task = asyncio.create_task(raw(type_, hang))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)

    asyncio.run(scenario())


@pytest.mark.parametrize("type_", SHELF)
@pytest.mark.parametrize("end", ["silence", "hang up", "500 what"])
def test_what_the_server_took_is_taken_however_it_says_goodbye(type_, end, monkeypatch):
    monkeypatch.setattr("sinks.smtp_line.GOODBYE", 0.2)

    class Rude(Server):
        async def handle_QUIT(self, server, _session, _envelope) -> str:  # noqa: N802
            if end == "silence":
                await asyncio.Event().wait()
            if end == "hang up":
                server.transport.abort()
            return end

    server = Rude()
    (result,) = asyncio.run(against(type_, server))
    assert isinstance(result, Delivered)
    assert len(server.mails) == 1
