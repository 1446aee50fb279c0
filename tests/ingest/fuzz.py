"""Send mutated requests to a public port for so many seconds: `python tests/ingest/fuzz.py SECONDS [SEED]`."""

import importlib.util
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

_spec = importlib.util.spec_from_file_location("served", Path(__file__).with_name("served.py"))
served = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(served)

ALLOWED = {200, 400, 404, 405, 408, 413, 431, 503}
EVENT = b'{"type":"alert","action":"created","attributes":{"uuid":"u","n":[1,2.5,null,true]},"metadata":{"version":2}}'
CHUNKED = served.post(b"", "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
CORPUS = [
    served.post(EVENT),
    served.post(EVENT, "expect: 100-continue", "x-forwarded-for: 1.2.3.4", "traceparent: 00-x"),
    served.post(EVENT, "connection: upgrade", "upgrade: h2c"),
    served.post(EVENT * 3000),
    served.post(EVENT, path="/hooks/nobody") * 2,
    CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(EVENT), EVENT),
    b"GET /metrics HTTP/1.0\r\n\r\n",
]
TOKENS = [
    b"\r\n",
    b"\n",
    b"\0",
    b" ",
    b":",
    b"{",
    b"}",
    b'"',
    b"\\u0000",
    b"content-length: 0\r\n",
    b"9" * 30,
    b"\xff\xfe",
]


def mutated(random: Random) -> bytes:
    data = bytearray(b"".join(random.choices(CORPUS, k=random.choice([1, 1, 1, 2, 5]))))
    for _ in range(random.choice([0, 1, 1, 2, 4, 16])):
        place = random.randrange(len(data) + 1)
        match random.randrange(5):
            case 0:
                data[place:place] = random.choice(TOKENS)
            case 1:
                del data[place : place + random.choice([1, 2, 30, 1000])]
            case 2:
                data[place : place + 1] = random.randbytes(random.choice([1, 1, 8]))
            case 3:
                data[place:place] = data[max(0, place - random.choice([5, 50, 500])) : place]
            case 4 if place:
                data = data[:place]
    return bytes(data)


def main(seconds: float, seed: int) -> None:
    random, found, end = Random(seed), Counter(), time.monotonic() + seconds
    requests = 0
    with served.Served() as running:
        while time.monotonic() < end:
            data = mutated(random)
            cut = random.randrange(len(data) + 1)
            pieces = [data] if random.random() < 0.7 else [data[:cut], data[cut:]]
            received = running.talk(*pieces)
            requests += 1
            statuses = [status for status, _ in served.answers(received)]
            if set(statuses) - ALLOWED:
                sys.exit(f"seed={seed} request={requests} {statuses} to {data[:2000]!r}")
            found.update(statuses)
            running.publisher.bodies.clear()
    print(f"requests={requests} seed={seed}", *(f"{status}={number}" for status, number in sorted(found.items())))


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else Random().randrange(10**6))
