"""Hold so many idle connections against a public port in another process: `python tests/ingest/idle.py CONNECTIONS`."""

import importlib.util
import multiprocessing
import resource
import socket
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

_spec = importlib.util.spec_from_file_location("served", Path(__file__).with_name("served.py"))
served = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(served)

EVENT = b'{"type":"alert","action":"created"}'


def serve(pipe: Connection, most: int) -> None:
    with served.Served(most=most) as running:
        pipe.send(running.port)
        pipe.recv()


def resident(pid: int) -> float:
    """Return a process's memory in MB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def ask(port: int) -> float:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        assert served.ask(sock, served.post(EVENT)) == 200
    return (time.monotonic() - began) * 1000


def main(number: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=serve, args=(theirs, number))
    child.start()
    port = ours.recv()
    ask(port)
    before = resident(child.pid)
    idle = []
    for _ in range(number + number // 10):  # a tenth over the cap: the oldest must go
        sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        sock.sendall(served.post(EVENT)[:30])
        idle.append(sock)
    milliseconds = ask(port)
    after = resident(child.pid)
    print(
        f"connections={len(idle)} cap={number} rss_before_mb={before:.0f} rss_after_mb={after:.0f} "
        f"kb_each={(after - before) * 1024 / number:.1f} answer_ms={milliseconds:.1f}"
    )
    ours.send("stop")
    for sock in idle:
        sock.close()
    child.join(30)


if __name__ == "__main__":
    main(int(sys.argv[1]))
