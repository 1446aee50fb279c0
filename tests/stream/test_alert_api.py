"""The Alert API client against a real local server that answers as badly as servers do."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import orjson
import pytest

from events.errors import NotReady
from stream import alert_api
from stream.alert_api import AlertApi, BatchRefused, QueryTooLong, Refused, Unavailable, retry_after
from stream.settings import SekoiaSettings

UUIDS = ["3b0f6a52-7d1e-4c7a-9f0b-5a1f2f0c9d11", "3b0f6a52-7d1e-4c7a-9f0b-5a1f2f0c9d12"]
NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)


class Server:
    """Answer every request with the same bytes, chunk by chunk, and note what was asked."""

    def __init__(self, *chunks, pause=0.0):
        self.chunks, self.pause, self.requests = chunks, pause, []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self.server.close()
        await self.server.wait_closed()

    async def _serve(self, reader, writer):
        try:
            self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
            for chunk in self.chunks:
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(self.pause)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def answer(status, content=b"", *headers):
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


def ask(call, *chunks, pause=0.0):
    """Return what a call makes of an answer, and the request it made."""

    async def scenario():
        async with Server(*chunks, pause=pause) as server:
            settings = SekoiaSettings(api_key="secret", api_base=server.base, _env_file=None)
            async with AlertApi(settings) as api:
                try:
                    return await call(api), server.requests[0]
                except (Unavailable, Refused, BatchRefused) as error:
                    return error, server.requests[0]

    return asyncio.run(scenario())


def listed(api):
    return api.listed(UUIDS)


def test_a_call_is_held_back_when_the_connection_is_there_and_nothing_was_sent():
    """Pins httpcore's name for the moment: with another one calls would leave whenever they are ready."""
    seen = []

    async def scenario():
        async with contextlib.AsyncExitStack() as stack:
            server = await stack.enter_async_context(Server(answer(200, b'{"items": []}')))
            settings = SekoiaSettings(api_key="secret", api_base=server.base, _env_file=None)
            api = await stack.enter_async_context(AlertApi(settings))

            async def hold():
                await asyncio.sleep(0.05)
                seen.append(len(server.requests))

            api.before_send = hold
            await api.listed(UUIDS)
            await api.listed(UUIDS)
            seen.append(len(server.requests))

            async def stop():
                raise Unavailable("calls must stop", counts=False)

            api.before_send = stop
            with pytest.raises(Unavailable, match="calls must stop"):
                await api.listed(UUIDS)
            seen.append(len(server.requests))

    asyncio.run(scenario())
    assert seen == [0, 1, 2, 2]


def test_the_list_is_asked_for_all_ids_in_one_call():
    items = [{"uuid": UUIDS[0].upper(), "title": "T"}, {"no": "uuid"}, "nothing", {"uuid": 7}]
    found, request = ask(listed, answer(200, orjson.dumps({"items": items})))
    assert found == {UUIDS[0]: items[0]}
    line, *headers = request.splitlines()
    assert line.startswith("GET /v1/sic/alerts?match%5Buuid%5D=")
    assert f"{UUIDS[0]}%2C{UUIDS[1]}" in line
    assert "limit=2" in line
    assert "custom_status=true" in line
    assert "authorization: Bearer secret" in [header.replace("Authorization", "authorization") for header in headers]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"<!doctype html><title>One moment</title>", "not JSON"),
        (b"[1]", "not an object"),
        (b"{}", "no items"),
        (b'{"items": 7}', "no items"),
    ],
)
def test_a_200_that_is_no_answer_is_asked_again_and_is_no_error_of_the_firewall(content, reason):
    error, _ = ask(listed, answer(200, content))
    assert isinstance(error, Unavailable)
    assert reason in str(error)
    assert not error.counts


@pytest.mark.parametrize(("status", "permission"), [(401, False), (403, True)])
def test_a_refused_key_is_said_to_be_one_and_never_shown(status, permission):
    error, _ = ask(listed, answer(status, b'{"code":"T300"}'))
    assert isinstance(error, Refused)
    assert error.permission is permission
    assert "secret" not in str(error)


@pytest.mark.parametrize("status", [302, 404, 429, 500, 503])
def test_every_other_status_is_unavailable_and_counts(status):
    error, _ = ask(listed, answer(status, b"{}", "Location: http://127.0.0.1:1/elsewhere"))
    assert isinstance(error, Unavailable)
    assert str(status) in str(error)
    assert error.counts


def test_a_400_to_several_ids_means_that_the_list_cannot_batch_and_to_one_that_it_is_unavailable():
    assert isinstance(ask(listed, answer(400))[0], BatchRefused)
    assert isinstance(ask(lambda api: api.listed(UUIDS[:1]), answer(400))[0], Unavailable)


def test_a_400_to_more_alerts_than_any_proxy_minds_is_no_word_about_the_list():
    many = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(51)]
    assert isinstance(ask(lambda api: api.listed(many), answer(400))[0], QueryTooLong)
    fifty, _ = ask(lambda api: api.listed(many[:50]), answer(400))
    assert isinstance(fifty, BatchRefused)
    assert not isinstance(fifty, QueryTooLong)


@pytest.mark.parametrize("status", [414, 431])
def test_a_query_that_a_proxy_finds_too_long_is_told_from_a_list_that_cannot_batch(status):
    assert isinstance(ask(listed, answer(status))[0], QueryTooLong)
    assert isinstance(ask(lambda api: api.listed(UUIDS[:1]), answer(status))[0], Unavailable)


def test_a_single_alert_may_be_unknown():
    assert ask(lambda api: api.single(UUIDS[0]), answer(404, b"{}"))[0] is None
    assert ask(lambda api: api.single(UUIDS[0]), answer(404, b"<html>"))[0] is None
    assert ask(lambda api: api.single(UUIDS[0]), answer(200, b'{"uuid":"u"}'))[0] == {"uuid": "u"}


def test_names_are_read_where_the_vendor_keeps_them():
    name, request = ask(lambda api: api.name("community", UUIDS[0]), answer(200, b'{"name":"Acme"}'))
    assert name == "Acme"
    assert request.startswith(f"GET /v1/communities/{UUIDS[0]} ")
    assert ask(lambda api: api.name("case", UUIDS[0]), answer(200, b'{"title":"A case"}'))[0] == "A case"
    assert ask(lambda api: api.name("asset", UUIDS[0]), answer(200, b'{"name":7}'))[0] is None
    assert ask(lambda api: api.name("report", UUIDS[0]), answer(404))[0] is None


def test_some_alerts_that_exist():
    items = [{"uuid": "A"}, {"uuid": None}, 3]
    found, request = ask(lambda api: api.some(2), answer(200, orjson.dumps({"items": items})))
    assert found == ["a"]
    assert "limit=2" in request


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(hours=1), usegmt=True), 0.0),
        ("Sat, 01 Aug 2026 12:00:30 -0000", 30.0),
        ("86400", 600.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_understood_in_both_forms(header, seconds):
    assert retry_after(header, NOW) == seconds


def test_a_429_says_how_long_to_stay_away():
    error, _ = ask(listed, answer(429, b"", "Retry-After: 45"))
    assert error.retry_after == 45.0


def test_waiting_for_ones_turn_is_no_error_of_the_vendor(monkeypatch):
    monkeypatch.setattr(alert_api, "TIMEOUT", 0.5)

    async def scenario():
        async with Server(answer(200, b'{"items": []}')) as server:
            settings = SekoiaSettings(api_key="secret", api_base=server.base, _env_file=None)
            async with AlertApi(settings) as api:
                api.before_send = lambda: asyncio.sleep(0.8)
                return await api.listed(UUIDS)

    assert asyncio.run(scenario()) == {}


def test_an_answer_that_drips_is_given_up_when_its_whole_time_is_over(monkeypatch):
    monkeypatch.setattr(alert_api, "TIMEOUT", 0.5)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"

    async def scenario():
        return await asyncio.wait_for(asyncio.to_thread(ask, listed, head, *[b"x"] * 40, pause=0.1), 5.0)

    error, _ = asyncio.run(scenario())
    assert isinstance(error, Unavailable)
    assert "whole answer" in str(error)


def test_an_answer_without_end_is_cut(monkeypatch):
    monkeypatch.setattr(alert_api, "MAX_ANSWER", 10_000)
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    error, _ = ask(listed, head, *[b"x" * 5_000] * 10)
    assert "10000 bytes" in str(error)


def test_a_kept_connection_that_was_closed_while_a_call_waited_is_no_error_of_the_vendor():
    async def scenario():
        kept = b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"items": []}'
        async with Server(kept, pause=0.1) as server:
            settings = SekoiaSettings(api_key="secret", api_base=server.base, _env_file=None)
            async with AlertApi(settings) as api:
                await api.listed(UUIDS)
                api.before_send = lambda: asyncio.sleep(0.4)  # the server closes meanwhile
                with pytest.raises(Unavailable) as caught:
                    await api.listed(UUIDS)
                assert await api.listed(UUIDS) == {}
                return caught.value

    assert not asyncio.run(scenario()).counts


def test_a_new_connection_that_is_closed_without_an_answer_is_an_error():
    error, _ = ask(listed)
    assert (type(error), error.counts) == (Unavailable, True)


def test_a_connection_that_breaks_is_unavailable():
    error, _ = ask(listed, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
    assert isinstance(error, Unavailable)
    error, _ = ask(listed, b"this is no HTTP\r\n\r\n")
    assert isinstance(error, Unavailable)


def test_without_a_key_it_says_which_permission_one_needs():
    with pytest.raises(NotReady, match="SIC_READ_ALERTS"):
        AlertApi(SekoiaSettings(_env_file=None))
