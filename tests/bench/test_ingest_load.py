"""The load of the ingest benchmark counts what was answered 200 and what was not, whatever the length of the answers."""

import asyncio
import contextlib
from itertools import cycle

from bench import ingest_load


def test_answers_are_counted_by_their_status_however_they_are_cut(monkeypatch):
    monkeypatch.setattr(ingest_load, "WARM_UP", 0.1)
    monkeypatch.setattr(ingest_load, "DISTINCT", 50)
    answers = cycle([(200, b"accepted\n"), (200, b"accepted\n"), (503, b"please come again\n")])
    got: list[bytes] = []

    async def serve(reader, writer):
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await answer_all(reader, writer)

    async def answer_all(reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0])
            got.append(await reader.readexactly(length))
            status, text = next(answers)
            answer = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(text), text)
            writer.write(answer[:20])
            await writer.drain()
            await asyncio.sleep(0.002)  # so that it comes in two pieces
            writer.write(answer[20:])

    async def scenario():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        found = await ingest_load.main(port, "/hooks/t", 0.5, 1)
        server.close()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:  # each closes its connection when it ends
            await asyncio.wait(others)
        return found

    found = asyncio.run(scenario())
    assert found["answered"] > 10
    assert abs(found["answered"] - 2 * found["refused"]) <= 2
    assert found["refusal"].startswith("HTTP/1.1 503")
    assert 0 < found["p50_ms"] <= found["p99_ms"]
    assert {len(body) for body in got} == {ingest_load.SIZE}
