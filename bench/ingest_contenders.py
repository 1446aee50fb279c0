"""What ingest is measured beside; `python -m bench.ingest_contenders NAME CORE` serves one on BENCH_PORT.

The three servers are run alike: uvicorn with uvloop and httptools, no access log, one process, acks=all.
"""

import asyncio
import os
import sys

TOKEN = "token-of-the-benchmark-only"
ANSWER = b"accepted\n"


def pydantic():
    """The usual endpoint: a model for the body, and send_and_wait."""
    from bench.ingest_usual import application

    _serve(application(_kafka(), TOKEN, ANSWER))


def bare():
    """A bare ASGI callable that writes the same record as ingest and checks the same things, with nothing around it."""
    from bench.ingest_bare import Bare

    _serve(Bare(_kafka(), TOKEN, ANSWER))


def tocsin():
    """Ingest as it ships: `tocsin ingest`."""
    os.execv(sys.executable, [sys.executable, "-m", "ops", "ingest"])  # noqa: S606


def nothing():
    """Answer 200 to whatever comes: what the load can do at most."""
    import uvloop

    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)

    class Echo(asyncio.Protocol):
        def connection_made(self, transport):
            self._transport = transport

        def data_received(self, data):
            self._transport.write(answer)

    async def main():
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", int(os.environ["BENCH_PORT"]))
        await server.serve_forever()

    uvloop.run(main())


def _kafka():
    from events.settings import KafkaSettings

    return KafkaSettings(_env_file=None)


def _serve(app):
    import uvicorn

    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_level="error",
    )


CONTENDERS = {each.__name__: each for each in (pydantic, bare, tocsin, nothing)}


if __name__ == "__main__":
    name, core = sys.argv[1:]
    if core != "any":
        os.sched_setaffinity(0, {int(core)})
    CONTENDERS[name]()
