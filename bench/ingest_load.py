"""The load of the ingest benchmark: so many connections, each posts as soon as it was answered; no pipelining.

`python -m bench.ingest_load PORT PATH SECONDS CONNECTIONS` prints one JSON object. It speaks just enough HTTP: the first
answer of a connection is parsed, and an answer as long as that one and 200 is taken for its like.
"""

import asyncio
import random
import re
import sys
import time
import uuid

import orjson
import uvloop

from sandbox import bodies

SIZE, ALERTS, DISTINCT = 900, 5000, 20_000
WARM_UP = 1.0
"""Seconds that are not counted."""
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def requests(path: str) -> list[bytes]:
    """Return requests with different events about many alerts, bodies of SIZE bytes."""
    chance = random.Random(7)
    alerts = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(ALERTS)]
    made, now = [], time.time_ns() // 1000
    for number in range(DISTINCT):
        attributes = {"uuid": chance.choice(alerts), "short_id": "ALq7Zt3Kx9Pd", "updated": {"similar": number}}
        event = uuid.UUID(int=chance.getrandbits(128), version=4)
        body = bodies.body("alert", "updated", attributes, at=now + number, community=alerts[0], event=event)
        body["attributes"]["padding"] = ""
        body["attributes"]["padding"] = "x" * (SIZE - len(orjson.dumps(body)))
        text = orjson.dumps(body)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(text)}\r\n\r\n"
        )
        made.append(head.encode() + text)
    return made


class Connection(asyncio.Protocol):
    """One connection; `times` gets (answered at, seconds) of every 200."""

    def __init__(self, made: list[bytes], start: int, times: list[tuple[float, float]], refused: list[bytes]) -> None:
        self._made, self._next = made, start
        self._times, self._refused = times, refused
        self._got, self._whole, self._began = b"", 0, 0.0
        self.stopped = False

    def connection_made(self, transport) -> None:
        self._transport = transport
        self._post()

    def _post(self) -> None:
        self._next = (self._next + 1) % len(self._made)
        self._began = time.perf_counter()
        self._transport.write(self._made[self._next])

    def data_received(self, data: bytes) -> None:
        got = self._got + data if self._got else data
        if len(got) < (self._whole or self._measure(got)):
            self._got = got
            return
        now = time.perf_counter()
        if got.startswith(b"HTTP/1.1 200"):
            self._times.append((now, now - self._began))
        else:
            self._refused.append(got[:200])
            self._whole = 0
        self._got = b""
        if not self.stopped:
            self._post()

    def _measure(self, got: bytes) -> int:
        head, end, _ = got.partition(b"\r\n\r\n")
        if not end:
            return len(got) + 1
        whole = len(head) + 4 + int(_LENGTH.search(head)[1])
        if got.startswith(b"HTTP/1.1 200"):
            self._whole = whole
        return whole

    def connection_lost(self, error) -> None:
        if not self.stopped:
            self._refused.append(b"connection lost")


async def main(port: int, path: str, seconds: float, connections: int) -> dict[str, object]:
    """Post, and say what came of it."""
    made, times, refused = requests(path), [], []
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(
            lambda n=n: Connection(made, n * len(made) // connections, times, refused), "127.0.0.1", port
        )
        for n in range(connections)
    ]
    await asyncio.sleep(WARM_UP)
    first, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    last, used = time.perf_counter(), time.process_time() - used
    for transport, connection in opened:
        connection.stopped = True
        transport.close()
    waits = sorted(wait for at, wait in times if first <= at <= last) or [float("nan")]
    return {
        "rps": len(waits) / (last - first),
        "p50_ms": waits[len(waits) // 2] * 1000,
        "p99_ms": waits[len(waits) * 99 // 100] * 1000,
        "answered": len(times),
        "refused": len(refused),
        "refusal": refused[0].decode(errors="replace") if refused else "",
        "load_busy": used / (last - first),
    }


if __name__ == "__main__":
    port, path, seconds, connections = sys.argv[1:]
    print(orjson.dumps(uvloop.run(main(int(port), path, float(seconds), int(connections)))).decode())
