"""The watch: counters and health of rooms that answer, and calm about those that do not."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from events.settings import KafkaSettings
from sandbox.supervisor import Process
from sandbox.watch import Watch, answers, is_ready

PAGE = '# TYPE tocsin_ingest_accepted_total counter\ntocsin_ingest_accepted_total{hook="soc"} 4.0\n'
NOBODY = KafkaSettings(bootstrap_servers="127.0.0.1:1")
ROOM = Process("ingest", (), {}, Path(), Path("log"))


@asynccontextmanager
async def served(pages: dict[str, tuple[int, str]]) -> AsyncIterator[Process]:
    """A room that answers with these pages."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        status, body = pages[path]
        writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield replace(ROOM, admin=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")


def test_room_that_is_well() -> None:
    async def scenario() -> None:
        pages = {"/metrics": (200, PAGE), "/healthz": (200, "{}")}
        async with served(pages) as room, Watch([room], {}, NOBODY) as eye:
            flow = await eye.look()
            assert flow.totals["accepted"] == 4
            assert eye.trouble == {}
            assert await is_ready(room)
            pages["/metrics"] = (200, PAGE.replace("4.0", "9.0"))
            assert (await eye.look()).totals["accepted"] == 9

    asyncio.run(scenario())


def test_room_that_is_in_trouble_says_why() -> None:
    async def scenario() -> None:
        pages = {"/metrics": (200, PAGE), "/healthz": (503, json.dumps({"reason": "Kafka is away"}))}
        async with served(pages) as room, Watch([room], {}, NOBODY) as eye:
            await eye.look()
            assert eye.trouble == {"ingest": "Kafka is away"}
            assert not await is_ready(room)
            pages["/healthz"] = (200, "{}")
            await eye.look()
            assert eye.trouble == {}

    asyncio.run(scenario())


def test_nonsense_and_absence_change_nothing() -> None:
    async def scenario() -> None:
        pages = {"/metrics": (200, PAGE), "/healthz": (200, "{}")}
        async with served(pages) as room:
            away = replace(ROOM, name="stream", admin="http://127.0.0.1:1")
            async with Watch([room, away], {"stream": ("g", "t")}, NOBODY) as eye:
                await eye.look()
                for nonsense in ("<html>", "", "tocsin_ingest_accepted_total{"):
                    pages["/metrics"] = (500 if not nonsense else 200, nonsense)
                    flow = await eye.look()
                    assert flow.totals["accepted"] == 4
                assert flow.lag == {"stream": None}
        assert not await answers("http://127.0.0.1:1")

    asyncio.run(scenario())
