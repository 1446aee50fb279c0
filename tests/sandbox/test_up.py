"""`tocsin up` as a person runs it: alerts flow, any of its processes may be killed, Ctrl-C ends it all."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

START_WITHIN = 180
BACK_WITHIN = 90


class Terminal:
    """A running `tocsin up` and what it printed so far."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "output"
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "ops", "up"], cwd=folder, stdout=file, stderr=subprocess.STDOUT
            )

    def wait_for(self, text: str, within: float) -> None:
        end = time.monotonic() + within
        while text not in self.output.read_text():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < end, f"no {text!r} in:\n{self.output.read_text()}"
            time.sleep(0.2)

    def children(self) -> dict[str, int]:
        """The processes it runs, by their last word."""
        listed = subprocess.run(
            ["ps", "-A", "-ww", "-o", "ppid=,pid=,args="], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        rows = [line.split(maxsplit=2) for line in listed]
        names = (
            "kafka.Kafka",
            "ops ingest",
            "ops sink teams",
            "ops sink archive",
            "ops inbox",
            "ops simulate",
            "ops stream",
            "ops watch",
        )
        mine = [(int(pid), command) for parent, pid, command in rows if int(parent) == self.process.pid]
        return {name: pid for name in names for pid, command in mine if name in command}


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    it = Terminal(tmp_path)
    yield it
    it.process.kill()
    it.process.wait()


def archived(folder: Path) -> int:
    return len(list((folder / "data" / "archive").rglob("*.parquet")))


@pytest.mark.kafka
@pytest.mark.system
def test_alerts_flow_whatever_is_killed_until_told_to_stop(terminal: Terminal, tmp_path: Path) -> None:
    terminal.wait_for("alerts are flowing", START_WITHIN)
    children = terminal.children()
    assert len(children) == 8
    for pid in children.values():
        os.kill(pid, signal.SIGKILL)
    for name in ("broker", "ingest", "sink", "archive", "inbox", "simulate", "stream", "watch"):
        terminal.wait_for(f"{name} is ready again", BACK_WITHIN)
    assert set(children.values()).isdisjoint(terminal.children().values())
    before = archived(tmp_path)
    end = time.monotonic() + BACK_WITHIN
    while archived(tmp_path) == before:
        assert time.monotonic() < end, terminal.output.read_text()
        time.sleep(0.2)

    second = subprocess.run(
        [sys.executable, "-P", "-m", "ops", "up"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 2
    assert second.stderr.startswith("tocsin: `tocsin up` already runs on ")
    assert second.stderr.count("\n") == 1

    children = terminal.children()
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.process.wait(timeout=20) == 0
    assert not [pid for pid in children.values() if Path(f"/proc/{pid}").exists()]
    assert "Stopped in " in terminal.output.read_text()
    shown = re.search(r"KAFKA_BOOTSTRAP_SERVERS=127\.0\.0\.1:\d+ (\S*tocsin) why ", terminal.output.read_text())
    assert shown
    assert shutil.which(shown[1]), "a shell of this user finds it"
    assert (tmp_path / "data" / "kafka").is_dir()
