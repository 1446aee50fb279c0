"""`tocsin broker`: a Kafka for anybody with Python alone, which says where it is and leaves nothing running."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import jars

pytestmark = pytest.mark.kafka

START_WITHIN, STOP_WITHIN = 180, 60


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that holds the verified jars and nothing else; fetching them again is tested in `test_jars`."""
    home = tmp_path / "home"
    store = jars.repository()
    for source in jars.classpath():
        link = home / ".m2" / "repository" / source.relative_to(store)
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, link)
        except OSError:  # another file system
            shutil.copy(source, link)
    return home


@contextlib.contextmanager
def broker(home: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run it with an environment that has a home and no java, until it has printed its notice."""
    command = [sys.executable, "-P", "-m", "ops", "broker", *options]
    env = {"HOME": str(home), "PATH": "/nowhere"}
    with subprocess.Popen(command, cwd=home.parent, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, notice(process)
        finally:
            process.kill()


def notice(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    end, lines = time.monotonic() + START_WITHIN, []
    while not (lines and "nothing else changes" in lines[-1]):
        lines.append(process.stdout.readline())
        assert lines[-1], f"it ended: {lines}"
        assert time.monotonic() < end
    return "".join(lines)


def free_port() -> int:
    """Return a port after which three more are free; ephemeral ones may be taken in between."""
    for port in range(21_000, 29_000, 17):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for each in range(port, port + 3):
                stack.enter_context(socket.create_server(("127.0.0.1", each)))
            return port
    raise AssertionError("no port is free")


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "ppid=,pid="], capture_output=True, text=True, check=True).stdout
    return [int(child) for parent, child in (line.split() for line in listed.splitlines()) if int(parent) == pid]


def topics(verb: str, bootstrap: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "ops", "topics", verb],
        cwd=home,
        env={"PATH": "/nowhere", "KAFKA_BOOTSTRAP_SERVERS": bootstrap, "KAFKA_PARTITIONS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_starts_in_an_empty_environment_says_where_it_is_and_stops_on_ctrl_c(home):
    port = free_port()
    with broker(home, "--port", str(port)) as (process, said):
        assert f"Kafka listens on 127.0.0.1:{port}, on this machine only." in said
        assert f"export KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:{port}" in said
        assert topics("create", f"127.0.0.1:{port}", home).returncode == 0
        kafka = children(process.pid)
        assert len(kafka) == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_WITHIN) == 0
        assert not Path(f"/proc/{kafka[0]}").exists()
    assert [each.name for each in home.iterdir()] == [".m2"]  # no Java was fetched, nothing cached
    assert (home.parent / "data" / "kafka").is_dir()


def test_three_nodes_make_three_copies_and_stop_together(home):
    port = free_port()
    with broker(home, "--nodes", "3", "--port", str(port)) as (process, said):
        bootstrap = ",".join(f"127.0.0.1:{each}" for each in range(port, port + 3))
        assert f"export KAFKA_BOOTSTRAP_SERVERS={bootstrap}" in said
        created = topics("create", bootstrap, home)
        assert "1 partitions, replication 3" in created.stdout
        assert "WARNING" not in created.stderr
        assert topics("check", bootstrap, home).returncode == 0
        nodes = children(process.pid)
        assert len(nodes) == 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_WITHIN) == 0
        assert [pid for pid in nodes if Path(f"/proc/{pid}").exists()] == []
