"""A room of several processes behind one name: all are asked, and its figures are theirs together."""

import asyncio
import socket

import httpx
import pytest
import respx

from events.settings import KafkaSettings
from inbox import rooms
from inbox.pipeline import Pipeline
from inbox.rooms import ask


def names(*addresses):
    """Stand in for the name service."""

    async def getaddrinfo(*_, **__):
        kinds = [socket.AF_INET6 if ":" in each else socket.AF_INET for each in addresses]
        return [(kind, 1, 6, "", (each, 0)) for kind, each in zip(kinds, addresses, strict=True)]

    return getaddrinfo


def look(monkeypatch, *addresses, url="http://stream-private:8082"):
    async def scenario():
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names(*addresses), raising=False)
        async with httpx.AsyncClient() as http:
            return await ask(http, url)

    return asyncio.run(scenario())


def answers(mock, address, metrics="", ready=True, reason=None):
    base = f"http://{address}:8082"
    health = mock.get(f"{base}/healthz").respond(200 if ready else 503, json={"ready": ready, "reason": reason})
    mock.get(f"{base}/metrics").respond(text=metrics)
    return health


@respx.mock
def test_all_replicas_are_asked_and_summed(monkeypatch):
    metrics = "tocsin_stream_enriched_total {}\ntocsin_archive_oldest_buffered_seconds {}\n"
    first = answers(respx, "10.0.0.1", metrics.format(40, 7))
    answers(respx, "10.0.0.2", metrics.format(2, 30))
    found = look(monkeypatch, "10.0.0.2", "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2")
    assert (found.asked, found.silent, found.not_ready) == (2, 0, "")
    assert found.samples == {"tocsin_stream_enriched_total": 42, "tocsin_archive_oldest_buffered_seconds": 30}
    assert first.calls.last.request.headers["host"] == "stream-private:8082"


@respx.mock
def test_one_that_is_silent_or_not_ready_shows(monkeypatch):
    answers(respx, "10.0.0.1", ready=False, reason="Kafka is away")
    answers(respx, "10.0.0.2")
    respx.get("http://10.0.0.3:8082/healthz").mock(side_effect=httpx.ConnectError("refused"))
    respx.get("http://10.0.0.3:8082/metrics").mock(side_effect=httpx.ConnectError("refused"))
    found = look(monkeypatch, "10.0.0.1", "10.0.0.2", "10.0.0.3")
    assert (found.asked, found.silent, found.not_ready) == (3, 1, "1 of 3: Kafka is away")


@respx.mock
@pytest.mark.parametrize("addresses", [("::1", "127.0.0.1"), ("10.0.0.1",)])
def test_a_single_process_is_asked_by_the_name_that_is_written(monkeypatch, addresses):
    answers(respx, "stream-private", "tocsin_stream_pending 3\n")
    assert look(monkeypatch, *addresses).samples == {"tocsin_stream_pending": 3}


@respx.mock
def test_no_more_are_asked_than_some(monkeypatch):
    monkeypatch.setattr(rooms, "MOST", 2)
    for number in (1, 2):
        answers(respx, f"10.0.0.{number}")
    assert look(monkeypatch, *(f"10.0.0.{number}" for number in range(1, 9))).asked == 2


@respx.mock
def test_the_page_says_how_many_of_a_room_are_silent(monkeypatch):
    answers(respx, "10.0.0.1", "tocsin_stream_enriched_total 40\n")
    for path in ("healthz", "metrics"):
        respx.get(f"http://10.0.0.2:8082/{path}").mock(side_effect=httpx.ConnectError("refused"))
    pipeline = Pipeline({"stream": "http://stream-private:8082"}, KafkaSettings(bootstrap_servers="127.0.0.1:9"))

    async def quiet():
        pipeline._asking = None

    pipeline._ask_kafka = quiet

    async def scenario():
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names("10.0.0.1", "10.0.0.2"), raising=False)
        return await pipeline.look()

    [room] = asyncio.run(scenario()).rooms
    assert (room.state, room.says, room.entry) == ("wrong", "1 of 2 does not answer", "tocsinroomdown")
    assert [each.value for each in room.figures] == ["40"]
