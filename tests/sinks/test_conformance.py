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
from sinks.destination import Delivered, Destination, Gone, Unavailable, Undeliverable

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


def header(head: bytes, name: str) -> str:
    lines = (line.partition(b": ") for line in head.split(b"\r\n"))
    return next(value.decode() for key, _, value in lines if key.decode().lower() == name)


def deliver(type_: str, *answers: bytes | Answers) -> tuple[Delivered | Unavailable | Undeliverable, Server]:
    server = Server(*answers)

    async def scenario() -> Delivered | Unavailable | Undeliverable:
        async with server.listening() as base:
            return await attempt(type_, base)

    return asyncio.run(scenario()), server


def opened(type_: str, base: str) -> Destination:
    found = shelf.find(type_)
    return found(found.Settings.model_validate(settings(type_, base)))


async def attempt(type_: str, base: str) -> Delivered | Unavailable | Undeliverable:
    async with opened(type_, base) as destination:
        return await outcome(destination)


async def outcome(destination: Destination, *texts: str) -> Delivered | Unavailable | Undeliverable:
    try:
        return await destination.deliver(hostile.event(*texts))
    except (Unavailable, Undeliverable) as error:
        return error


def meaning(status: int) -> type:
    """Return what a status must become; one below 200 is no answer yet."""
    if status < 200:
        return Unavailable
    if 200 <= status < 300:
        return Delivered
    if status == 410:
        return Gone
    return Unavailable if status in {408, 425, 429} or status >= 500 else Undeliverable


@pytest.mark.parametrize("type_", SHELF)
@pytest.mark.parametrize("hundred", [100, 200, 300, 400, 500])
def test_every_status(type_, hundred):
    statuses = range(hundred, hundred + 100)
    location = {"Location": "http://127.0.0.1:1/elsewhere"}
    server = Server(*(reply(status, b"", **location) for status in statuses))

    async def scenario() -> list[Delivered | Unavailable | Undeliverable]:
        async with server.listening() as base, opened(type_, base) as destination:
            return [await outcome(destination) for _ in statuses]

    results = dict(zip(statuses, asyncio.run(scenario()), strict=True))
    assert {status: type(one) for status, one in results.items()} == {status: meaning(status) for status in statuses}
    assert len(server.requests) == len(statuses), "something was asked twice, or a redirect was followed"
    for status, one in results.items():
        assert status < 200 or str(status) in (one.status if isinstance(one, Delivered) else one.reason)
        assert not isinstance(one, Unavailable) or one.retry_after is None


@pytest.mark.parametrize("type_", SHELF)
@pytest.mark.parametrize("early", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"])
def test_what_comes_before_the_answer_is_not_the_answer(type_, early):
    taken, _ = deliver(type_, early + reply(202))
    assert isinstance(taken, Delivered)
    again, _ = deliver(type_, early + reply(503))
    assert isinstance(again, Unavailable)


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
        (head, body) = server.requests[0]
        assert SECRET.encode() in head + body
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


DEEP = json.loads('{"x":' * 600 + "1" + "}" * 600)


@pytest.mark.parametrize("type_", SHELF)
@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("huge", hostile.event(*["😀<b>" * 20_000] * 5)),
        ("markup of every client", hostile.event(*[" ".join(hostile.PIECES)] * 6)),
        ("nothing at all", hostile.event(*[""] * 6, urgency=None)),
        ("nested deeper than can be written", hostile.event().model_copy(update={"alert": DEEP})),
    ],
)
def test_no_event_is_an_error(type_, name, event):
    server = Server(reply(200))

    async def scenario() -> Delivered | Undeliverable:
        async with server.listening() as base, opened(type_, base) as destination:
            try:
                return await destination.deliver(event)
            except Undeliverable as error:
                return error

    result = asyncio.run(scenario())
    assert isinstance(result, Delivered) or name.startswith("nested")
    for _, body in server.requests:
        assert isinstance(json.loads(body.decode("utf-8")), dict)


@pytest.mark.parametrize("type_", SHELF)
def test_the_same_event_again_is_the_same_message(type_):
    server = Server(reply(503), reply(200))
    other = hostile.event("another").model_copy(update={"event_id": "e2"})

    async def scenario() -> None:
        async with server.listening() as base, opened(type_, base) as destination:
            assert isinstance(await outcome(destination), Unavailable)
            assert isinstance(await outcome(destination), Delivered)
            await destination.deliver(other)

    asyncio.run(scenario())
    (first, body), (second, again), (third, another) = server.requests
    assert body == again != another
    said = json.loads((SAMPLES / f"{type_}.json").read_text("utf-8")).get("stable_header")
    if said:  # the target can tell a repeat by it
        assert header(first, said) == header(second, said) != header(third, said)
    else:
        assert "the same event twice" in (shelf.find(type_).__doc__ or ""), "say what a repeat looks like"


@pytest.mark.parametrize("type_", [type_ for type_ in SHELF if "url" in SHELF[type_]])
@pytest.mark.parametrize("url", ["ftp://h/x", "http://example.org/x", "https://u:p@h.example/x", "/x", "https://h/a b"])
def test_a_wrong_address_is_refused_without_repeating_it(type_, url, monkeypatch):
    monkeypatch.delenv("SINKS_ALLOW_NETWORKS")
    with pytest.raises(ValueError, match="url") as raised:
        shelf.find(type_).Settings.model_validate({"url": url})
    assert url not in str(raised.value)
