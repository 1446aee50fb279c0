"""E-mail against a real SMTP server: TLS, refusals, and nobody mailed twice."""

import asyncio
import importlib.util
import ssl
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult
from pydantic import SecretStr, ValidationError

from sinks.alert_details import AlertDetails, Details
from sinks.destination import Unavailable, Undeliverable
from sinks.destinations.email import Email, EmailSettings

_spec = importlib.util.spec_from_file_location("hostile", Path(__file__).with_name("hostile.py"))
assert _spec
assert _spec.loader
hostile = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hostile)


class Server:
    """What the server got, and what it answers."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], bytes]] = []
        self.refuse: dict[str, list[str]] = {}
        self.data = "250 OK"

    async def handle_RCPT(self, _server, _session, envelope, address, _options) -> str:  # noqa: N802
        answers = self.refuse.get(address)
        if answers:
            return answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802
        if self.data.startswith("250"):
            self.mails.append((list(envelope.rcpt_tos), envelope.content))
        return self.data


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return SimpleNamespace(context=context, ca_file=str(path))


@pytest.fixture
def server():
    return Server()


def settings(certificate, **changes) -> dict:
    given = {
        "server": "localhost", "sender": "tocsin@example.org", "ca_file": certificate.ca_file,
        "to": ["one@example.org", "two@example.org"],
    }  # fmt: skip
    return given | changes


def deliver(server, certificate, times: int = 1, **changes):
    """Deliver the same event some times to a server that runs meanwhile."""

    def authenticate(_server, _session, _envelope, _mechanism, data) -> AuthResult:
        return AuthResult(success=data.password == b"right", handled=False)

    dialogues: list[SMTP] = []

    def protocol() -> SMTP:
        made = SMTP(
            server, hostname="localhost", tls_context=certificate.context, require_starttls=True,
            authenticator=authenticate,
        )  # fmt: skip
        dialogues.append(made)
        return made

    async def scenario():
        listening = await asyncio.get_running_loop().create_server(protocol, "localhost", 0)
        port = {"port": listening.sockets[0].getsockname()[1]}
        results = []
        async with listening, Email(EmailSettings.model_validate(port | settings(certificate, **changes))) as target:
            for _ in range(times):
                try:
                    results.append(await target.deliver(hostile.event()))
                except (Unavailable, Undeliverable) as error:
                    results.append(error)
            for dialogue in dialogues:
                if dialogue.transport:
                    dialogue.transport.abort()
            for _ in range(3):  # the loop tells the dialogues of it
                await asyncio.sleep(0)
        return results

    return asyncio.run(scenario())


def test_a_mail_arrives_over_tls(server, certificate):
    (result,) = deliver(server, certificate, username="soc", password="right")
    assert result.status == "accepted for 2 of 2"
    ((recipients, content),) = server.mails
    assert recipients == ["one@example.org", "two@example.org"]
    assert b"Subject: [Major 75] T\r\n" in content


def test_a_certificate_nobody_vouches_for_is_not_talked_to(server, certificate):
    (result,) = deliver(server, certificate, ca_file=None)
    assert isinstance(result, Unavailable)
    assert server.mails == []


def test_a_wrong_password_is_waited_for_and_not_repeated(server, certificate):
    (result,) = deliver(server, certificate, username="soc", password="hunter2")
    assert isinstance(result, Unavailable)
    assert "refused user name and password" in result.reason
    assert "hunter2" not in repr(result)
    assert server.mails == []


def test_who_was_reached_is_not_mailed_again(server, certificate):
    server.refuse = {"two@example.org": ["451 later"]}
    first, second = deliver(server, certificate, times=2)
    assert isinstance(first, Unavailable)
    assert second.status == "accepted for 2 of 2"
    assert [recipients for recipients, _ in server.mails] == [["one@example.org"], ["two@example.org"]]


def test_one_refused_for_ever_does_not_keep_it_from_the_other(server, certificate):
    server.refuse = {"two@example.org": ["550 no such user"]}
    (result,) = deliver(server, certificate)
    assert result.status == "accepted for 1 of 2, 1 refused: SMTP 550: no such user"


def test_all_refused_for_ever_is_a_dead_letter(server, certificate):
    server.refuse = {"one@example.org": ["550 no"], "two@example.org": ["550 no"]}
    (result,) = deliver(server, certificate)
    assert isinstance(result, Undeliverable)


@pytest.mark.parametrize(("answer", "kind"), [("452 full", Unavailable), ("554 looks like spam", Undeliverable)])
def test_what_the_server_says_to_the_mail_itself(server, certificate, answer, kind):
    server.data = answer
    (result,) = deliver(server, certificate)
    assert isinstance(result, kind)
    assert answer.partition(" ")[2] in result.reason


def test_a_server_that_is_not_there_is_waited_for(server, certificate):
    (result,) = deliver(server, certificate, port=1)
    assert isinstance(result, Unavailable)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"to": ["a@b.org\r\nBcc: x@y.org"]}, "plain address"),
        ({"sender": "SOC <soc@example.org>"}, "plain address"),
        ({"password": "x"}, "together"),
        ({"security": "none", "username": "a", "password": "b"}, "without TLS"),
    ],
)
def test_settings_say_what_is_wrong(wrong, said):
    given = {"server": "mail.example.org", "sender": "a@example.org", "to": "b@example.org"}
    with pytest.raises(ValidationError, match=said):
        EmailSettings.model_validate(given | wrong)


def test_the_password_is_nowhere_in_the_settings_text():
    shown = EmailSettings(server="m", sender="a@b.org", to=["b@b.org"], username="u", password=SecretStr("hunter2"))
    assert "hunter2" not in repr(shown)


def test_a_mail_that_is_tried_again_is_looked_up_once(server, certificate, monkeypatch):
    asked = []

    async def of(_self, event) -> Details:
        asked.append(event.event_id)
        return Details(comments=(("Ada", "seen"),))

    monkeypatch.setattr(AlertDetails, "of", of)
    server.refuse = {"two@example.org": ["451 later"]}
    deliver(server, certificate, times=2, form="enriched", api_key="k")
    assert asked == ["e1"]
    assert [b"seen" in content for _, content in server.mails] == [True, True]
