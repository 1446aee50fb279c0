"""What a target may not reach, however its address is written and whatever its name leads to, now or later."""

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack
from email.message import EmailMessage
from ipaddress import ip_address

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from sinks import egress
from sinks.destination import Unavailable
from sinks.destinations.email import Email, EmailSettings
from sinks.posting import Poster, check_url
from sinks.responses import Answer

INSIDE = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.9.9.9", "168.63.129.16", "169.254.169.254",
    "172.16.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1",
    "64:ff9b:1::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
]  # fmt: skip
OUTSIDE = ["8.8.8.8", "52.1.2.3", "2606:4700::1111", "::ffff:8.8.8.8"]


@pytest.fixture
def closed(monkeypatch):
    monkeypatch.delenv("SINKS_ALLOW_NETWORKS")


class Names:
    """A resolver that answers each question with the next of its answers, and the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, _host: str, _port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def literal(address: str) -> str:
    return f"https://[{address}]/x" if ":" in address else f"https://{address}/x"


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_refused_when_it_is_written_and_when_a_name_leads_there(address):
    with pytest.raises(ValueError, match="SINKS_ALLOW_NETWORKS") as refused:
        check_url(SecretStr(literal(address)))
    assert address not in str(refused.value)

    async def look(*answer: str) -> None:
        await egress.Guard("inside.example", 443, secure=True, resolve=Names(answer)).addresses()

    for answer in ([address], ["8.8.8.8", address]):
        with pytest.raises(Unavailable, match="not tried") as waited:
            asyncio.run(look(*answer))
        assert address not in waited.value.reason


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_outside_is_fine(address):
    check_url(SecretStr(literal(address)))
    guard = egress.Guard("outside.example", 443, secure=True, resolve=Names([address]))
    assert asyncio.run(guard.addresses()) == (str(ip_address(address)),)


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "127.0.0.1.", "010.0.0.1"]
)
def test_other_ways_to_write_an_address_are_refused(host):
    with pytest.raises(ValueError, match=r"usual form|not a valid address"):
        check_url(SecretStr(f"https://{host}/x"))


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost"])
def test_and_would_not_be_reached_either(host):
    async def look() -> None:
        await egress.Guard(host, 443, secure=True).addresses()

    with pytest.raises(Unavailable, match="not tried: the host leads to a loopback address"):
        asyncio.run(look())


@given(st.ip_addresses())
def test_whatever_is_not_global_is_never_reached(address):
    public = not egress._may_reach(address, ())
    assert public or (egress._plain(address).is_global and not egress._plain(address).is_multicast)


def test_a_network_that_is_allowed_is_reached_and_no_other(monkeypatch):
    monkeypatch.setenv("SINKS_ALLOW_NETWORKS", "10.20.0.0/16, fd00:1::/64")
    for address in ("10.20.3.4", "fd00:1::7", "::ffff:10.20.0.1"):
        check_url(SecretStr(literal(address)))
        check_url(SecretStr(literal(address).replace("https", "http")))
    for address in ("10.21.0.1", "127.0.0.1", "fd00:2::1"):
        with pytest.raises(ValueError, match="SINKS_ALLOW_NETWORKS"):
            check_url(SecretStr(literal(address)))
    with pytest.raises(ValueError, match="plain http"):
        check_url(SecretStr("http://8.8.8.8/x"))


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.1.2.3/8", "everything", "10.0.0.0/8;::1"])
def test_networks_that_are_none_are_named(monkeypatch, text):
    monkeypatch.setenv("SINKS_ALLOW_NETWORKS", text)
    with pytest.raises(ValueError, match="is no network"):
        egress.allowed()


async def posted(poster: Poster) -> Answer | Unavailable:
    async with AsyncExitStack() as stack:
        await poster.open(stack)
        try:
            return await poster.post(b"{}", {})
        except Unavailable as error:
            return error


class Listener:
    """A server that says 200 and keeps the first line and the Host of each request."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.context = context
        self.requests: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def start(self, host: str = "127.0.0.1") -> tuple[asyncio.Server, int]:
        server = await asyncio.start_server(self.serve, host, 0, ssl=self.context)
        return server, server.sockets[0].getsockname()[1]


def test_a_name_that_is_rebound_after_it_was_checked_is_not_followed(monkeypatch):
    """The name leads outside when it is checked and to this machine when it is asked again."""
    monkeypatch.setattr(egress, "BELIEVED", 0.0)
    monkeypatch.setenv("SINKS_ALLOW_NETWORKS", "127.0.0.2/32")
    listener = Listener()

    async def scenario() -> tuple[object, int, object]:
        server, port = await listener.start()
        async with server:
            names = Names(["127.0.0.2"], ["127.0.0.1"])
            poster = Poster(SecretStr(f"http://rebound.example:{port}/x"), names)
            first, asked = await posted(poster), names.asked
            return first, asked, await posted(poster)

    first, asked, second = asyncio.run(scenario())
    assert isinstance(first, Unavailable)
    assert first.reason == "no answer: ClientConnectorError"  # nobody listens at the address that was checked
    assert asked == 1
    assert isinstance(second, Unavailable)
    assert "loopback" in second.reason
    assert listener.connections == 0


def test_the_certificate_and_the_host_are_those_of_the_name(monkeypatch):
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("soar.example").configure_cert(context)
    trusting = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", lambda *a, **k: _with(trusting(*a, **k), authority))
    listener = Listener(context)

    async def scenario(host: str) -> tuple[object, int]:
        server, port = await listener.start()
        async with server:
            return await posted(Poster(SecretStr(f"https://{host}:{port}/in?sig=%2B"), Names(["127.0.0.1"]))), port

    answer, port = asyncio.run(scenario("soar.example"))
    assert answer.status == 200
    assert listener.requests[0].startswith(b"POST /in?sig=%2B HTTP/1.1\r\n")
    assert f"Host: soar.example:{port}\r\n".encode() in listener.requests[0]
    refused, _ = asyncio.run(scenario("other.example"))
    assert isinstance(refused, Unavailable)


def _with(context: ssl.SSLContext, authority: trustme.CA) -> ssl.SSLContext:
    authority.configure_trust(context)
    return context


def test_the_next_address_is_tried_when_one_does_not_answer():
    listener = Listener()

    async def scenario() -> object:
        server, port = await listener.start()
        async with server:
            return await posted(Poster(SecretStr(f"http://two.example:{port}/"), Names(["127.0.0.2", "127.0.0.1"])))

    assert asyncio.run(scenario()).status == 200
    assert listener.connections == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_an_address_may_stand_for_the_host(host):
    async def scenario() -> tuple[object, bytes, int]:
        listener = Listener()
        try:
            server, port = await listener.start("::1" if host == "[::1]" else "127.0.0.1")
        except OSError:
            pytest.skip("this machine has no IPv6")
        async with server:
            return await posted(Poster(SecretStr(f"http://{host}:{port}/x?a=%2B"))), listener.requests[0], port

    answer, request, port = asyncio.run(scenario())
    assert answer.status == 200
    assert request.startswith(b"POST /x?a=%2B HTTP/1.1\r\n")
    assert f"Host: {host}:{port}\r\n".encode() in request


def test_plain_http_goes_only_where_it_is_allowed():
    answer = asyncio.run(posted(Poster(SecretStr("http://chat.example/"), Names(["8.8.8.8"]))))
    assert isinstance(answer, Unavailable)
    assert "plain http" in answer.reason


@pytest.mark.usefixtures("closed")
def test_a_mail_server_inside_is_not_reached_either():
    settings = EmailSettings(server="localhost", sender="a@example.org", to=["b@example.org"])

    async def scenario() -> None:
        async with Email(settings) as target:
            await target._line.send(EmailMessage(), "a@example.org", ["b@example.org"])

    with pytest.raises(Unavailable, match="loopback"):
        asyncio.run(scenario())
