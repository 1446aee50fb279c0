"""The rooms' pages as the watch asks for them: of every process behind a name, and of none that does not answer."""

import asyncio
import socket

import httpx
import respx

from ops import watch_pages

PAGE = "process_start_time_seconds 7.0\n"


def fetch(monkeypatch, hosts, rooms):
    async def getaddrinfo(host, *_, **__):
        return [(socket.AF_INET, 1, 6, "", (each, 0)) for each in hosts[host]]

    async def scenario():
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=False)
        async with httpx.AsyncClient() as http:
            return await watch_pages.fetch(http, rooms)

    return asyncio.run(scenario())


@respx.mock
def test_every_process_behind_a_name_is_asked(monkeypatch):
    first = respx.get("http://10.0.0.1:8082/metrics").respond(text=PAGE)
    respx.get("http://10.0.0.2:8082/metrics").mock(side_effect=httpx.ConnectError("refused"))
    respx.get("http://archive-private:8084/metrics").respond(text=PAGE)
    hosts = {"stream-private": ["10.0.0.2", "10.0.0.1"], "archive-private": ["10.0.0.9"]}
    rooms = {"stream": "http://stream-private:8082", "archive": "http://archive-private:8084"}
    pages = fetch(monkeypatch, hosts, rooms)
    assert {name: page is not None for name, page in pages.items()} == {
        "stream@10.0.0.1": True,
        "stream@10.0.0.2": False,
        "archive": True,
    }
    assert first.calls.last.request.headers["host"] == "stream-private:8082"


@respx.mock
def test_a_page_too_long_or_empty_or_of_an_error_is_none(monkeypatch):
    respx.get("http://10.0.0.3:8082/metrics").respond(text="")  # of a room none of whose workers answers
    respx.get("http://10.0.0.1:8082/metrics").respond(text="#" * (watch_pages.LARGEST + 1))
    respx.get("http://10.0.0.2:8082/metrics").respond(503, text=PAGE)
    pages = fetch(
        monkeypatch, {"stream-private": ["10.0.0.1", "10.0.0.2", "10.0.0.3"]}, {"stream": "http://stream-private:8082"}
    )
    assert list(pages.values()) == [None, None, None]
