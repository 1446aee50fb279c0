"""What every destination that posts over HTTP does with every answer a server can give; join by a file in conformance/."""

import asyncio
import importlib.util
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from sinks import posting, shelf
from sinks.destination import Delivered, Gone, Unavailable, Undeliverable

_spec = importlib.util.spec_from_file_location("hostile", Path(__file__).with_name("hostile.py"))
assert _spec
assert _spec.loader
hostile = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hostile)

SECRET = "s3cr3tT0ken"
SAMPLES = Path(__file__).with_name("conformance")


def samples() -> dict[str, dict[str, object]]:
    """Return the settings of each destination that posts over HTTP, as its file in `conformance/` has them."""
    read = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(SAMPLES.glob("*.json"))}
    return {type_: sample["settings"] for type_, sample in read.items() if "settings" in sample}


SHELF = samples()


def settings(type_: str, base: str) -> dict[str, object]:
    """Fill in where the server is, and the secret nobody else may see."""
    return json.loads(json.dumps(SHELF[type_]).replace("{base}", base).replace("{secret}", SECRET))


Answers = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def test_every_destination_is_here_or_says_why_not():
    assert {path.stem for path in SAMPLES.glob("*.json")} == set(shelf.types())


class Server:
    """A server that does as it is told with each request, and keeps what it got."""

    def __init__(self, *answers: bytes | Answers) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[bytes, bytes]] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        self.requests.append((head, await reader.readexactly(length)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        try:
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(reader, writer)
        except ConnectionError:
            pass  # the client has heard enough
        finally:
            writer.close()


def reply(status: int, body: bytes = b"ok", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Reason", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def deliver(type_: str, *answers: bytes | Answers) -> tuple[Delivered | Unavailable | Undeliverable, Server]:
    server = Server(*answers)

    async def scenario() -> Delivered | Unavailable | Undeliverable:
        async with server.listening() as base:
            return await attempt(type_, base)

    return asyncio.run(scenario()), server


async def attempt(type_: str, base: str) -> Delivered | Unavailable | Undeliverable:
    found = shelf.find(type_)
    async with found(found.Settings.model_validate(settings(type_, base))) as destination:
        try:
            return await destination.deliver(hostile.event())
        except (Unavailable, Undeliverable) as error:
            return error


@pytest.mark.parametrize("type_", SHELF)
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_taken(type_, status):
    result, server = deliver(type_, reply(status, b""))
    assert isinstance(result, Delivered)
    assert result.status == f"HTTP {status}"
    assert len(server.requests) == 1


@pytest.mark.parametrize("type_", SHELF)
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507, 599])
def test_again_later(type_, status):
    result, _ = deliver(type_, reply(status, b"busy"))
    assert isinstance(result, Unavailable)
    assert str(status) in result.reason
    assert result.retry_after is None


@pytest.mark.parametrize("type_", SHELF)
@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 409, 413, 415, 422, 451])
def test_never(type_, status):
    result, server = deliver(type_, reply(status, b"no", Location="http://127.0.0.1:1/elsewhere"))
    assert isinstance(result, Undeliverable)
    assert str(status) in result.reason
    assert len(server.requests) == 1, "a redirect was followed"


@pytest.mark.parametrize("type_", SHELF)
def test_gone_for_good_is_neither_later_nor_never(type_):
    result, server = deliver(type_, reply(410, b"gone"))
    assert isinstance(result, Gone)
    assert "410" in result.reason
    assert len(server.requests) == 1


@pytest.mark.parametrize("type_", SHELF)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_both_forms(type_, status):
    result, _ = deliver(type_, reply(status, Retry_After="17"))
    assert isinstance(result, Unavailable)
    assert result.retry_after == 17
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    result, _ = deliver(type_, reply(status, Retry_After=date))
    assert isinstance(result, Unavailable)
    assert 80 < result.retry_after <= 100
    for useless in ("soon", "", "-5", "nan", "1e999", "Wed, 99 Foo"):
        result, _ = deliver(type_, reply(status, Retry_After=useless))
        assert isinstance(result, Unavailable)
        assert result.retry_after is None or 0 <= result.retry_after <= 3600


@pytest.mark.parametrize("type_", SHELF)
def test_no_answer_at_all(type_, monkeypatch):
    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    monkeypatch.setattr(posting, "DEADLINE", 0.3)
    for broken in (reset, hang, drip, b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n"):
        result, _ = deliver(type_, broken)
        assert isinstance(result, Unavailable), broken
        assert SECRET not in repr(result)
    refused = asyncio.run(attempt(type_, "http://127.0.0.1:1"))
    assert isinstance(refused, Unavailable)
    assert SECRET not in repr(refused)


@pytest.mark.parametrize("type_", SHELF)
def test_an_answer_without_end_is_not_read_to_it(type_):
    sent = 0

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()
            sent += 0x10000

    result, _ = deliver(type_, flood)
    assert isinstance(result, Unavailable)
    assert len(result.reason) < 400
    assert sent < 20_000_000


@pytest.mark.parametrize("type_", SHELF)
def test_the_secret_is_told_to_nobody_but_the_target(type_, caplog):
    caplog.set_level(logging.DEBUG)
    for answer in (reply(200), reply(404, f"no such hook {SECRET}-{'x' * 40} at http://h/{SECRET}".encode()), b""):
        result, server = deliver(type_, answer)
        assert f"http://h/{SECRET}" not in repr(result)
        (head, _body) = server.requests[0]
        assert SECRET.encode() in head.split(b"\r\n")[0]
    assert SECRET not in caplog.text
    found = shelf.find(type_)
    assert SECRET not in repr(found.Settings.model_validate(settings(type_, "https://h.example")))


@pytest.mark.parametrize("type_", SHELF)
def test_an_answer_in_any_bytes_is_understood_or_quoted_harmlessly(type_):
    for body in (
        b"\xff\xfe\x00",
        "\u202eünïcode 😀".encode(),
        b"\x1b[31m\r\nSet-Cookie: a",
        b"<script>" * 1000,
        b"[]",
        b"null",
    ):
        for status in (200, 400, 429):
            result, _ = deliver(type_, reply(status, body))
            text = result.status if isinstance(result, Delivered) else result.reason
            assert len(text) < 400
            assert text.isprintable()


@pytest.mark.parametrize("type_", SHELF)
def test_cancelled_in_the_middle_it_ends(type_):
    async def scenario() -> None:
        async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.read()

        server = Server(hang)
        async with server.listening() as base:
            task = asyncio.create_task(attempt(type_, base))
            while not server.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 5)

    asyncio.run(scenario())


@pytest.mark.parametrize("type_", SHELF)
def test_the_proxy_of_the_environment_is_not_used(type_, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    result, _ = deliver(type_, reply(200))
    assert isinstance(result, Delivered)


@pytest.mark.parametrize("type_", SHELF)
def test_a_huge_event_is_cut_or_sent_whole_but_never_an_error(type_):
    server = Server(reply(200))

    async def scenario() -> object:
        found = shelf.find(type_)
        async with (
            server.listening() as base,
            found(found.Settings.model_validate(settings(type_, base))) as destination,
        ):
            return await destination.deliver(hostile.event(*["😀<b>" * 20_000] * 5))

    assert isinstance(asyncio.run(scenario()), Delivered)


@pytest.mark.parametrize("type_", [type_ for type_ in SHELF if "url" in SHELF[type_]])
@pytest.mark.parametrize("url", ["ftp://h/x", "http://example.org/x", "https://u:p@h.example/x", "/x", "https://h/a b"])
def test_a_wrong_address_is_refused_without_repeating_it(type_, url, monkeypatch):
    monkeypatch.delenv("SINKS_ALLOW_NETWORKS")
    with pytest.raises(ValueError, match="url") as raised:
        shelf.find(type_).Settings.model_validate({"url": url})
    assert url not in str(raised.value)
