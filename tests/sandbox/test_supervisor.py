"""The supervisor against real child processes: restarts, a clean stop, and nobody left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from events.errors import NotReady
from sandbox import logfile, supervisor
from sandbox.supervisor import Backoff, Process, Restart, Supervisor

SLEEPS = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


def child(folder: Path, code: str, name: str = "child", stops_last: bool = False) -> Process:
    """A process that runs this Python code."""
    log = folder / "logs" / f"{name}.log"
    return Process(
        name, (sys.executable, "-S", "-c", textwrap.dedent(code)), dict(os.environ), folder, log, stops_last=stops_last
    )


def is_alive(pid: int) -> bool:
    """A zombie is not alive."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until(condition: Callable[[], object], within: float = 10) -> None:
    """Wait for it; fail when it does not come."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


def test_backoff_doubles_and_stops_growing() -> None:
    backoff = Backoff()
    assert [backoff.after(uptime=1) for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]


def test_backoff_forgets_after_a_long_run() -> None:
    backoff = Backoff()
    for _ in range(6):
        backoff.after(uptime=0)
    assert [backoff.after(uptime=30), backoff.after(uptime=1)] == [0.5, 1]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (3, "stream ended with exit code 3; starting it again in 0.5 s"),
        (-9, "stream killed by SIGKILL; starting it again in 0.5 s"),
        (-200, "stream killed by signal 200; starting it again in 0.5 s"),
    ],
)
def test_restart_reads_as_a_sentence(code: int, sentence: str) -> None:
    assert str(Restart("stream", code, 0.5)) == sentence


def test_killed_process_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.01)
    seen: list[Restart] = []

    async def scenario() -> None:
        watch = Supervisor(seen.append)
        await watch.start(child(tmp_path, SLEEPS))
        first = watch.pid("child")
        watch.kill("child")
        await until(lambda: watch.restarts("child") == 1 and watch.pid("child"))
        second = watch.pid("child")
        await watch.stop()
        assert first != second
        assert first
        assert second
        assert not is_alive(first)
        assert not is_alive(second)

    asyncio.run(scenario())
    assert [(each.name, each.code) for each in seen] == [("child", -signal.SIGKILL)]


def test_waits_until_ready(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    async def ready() -> bool:
        return mark.exists()

    async def scenario() -> None:
        watch = Supervisor(lambda _: None)
        await watch.start(child(tmp_path, "import pathlib, time; pathlib.Path('mark').touch(); time.sleep(600)"), ready)
        assert mark.exists()
        await watch.stop()

    asyncio.run(scenario())


def test_start_repeats_what_a_process_lacks(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    async def scenario() -> None:
        watch = Supervisor(lambda _: None)
        try:
            await watch.start(child(tmp_path, "import sys; print('tocsin: no hook is set'); sys.exit(2)"), never)
        finally:
            await watch.stop()

    with pytest.raises(NotReady, match=r"^child cannot start: no hook is set$"):
        asyncio.run(scenario())


def test_start_is_bounded(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    async def scenario() -> None:
        watch = Supervisor(lambda _: None)
        try:
            await watch.start(child(tmp_path, SLEEPS), never, within=0.2)
        finally:
            await watch.stop()

    with pytest.raises(NotReady, match=r"child was not ready after 0.2 s; its log is .*child.log"):
        asyncio.run(scenario())


def test_stop_asks_in_reverse_order_and_the_broker_last(tmp_path: Path) -> None:
    says = """
        import os, signal, sys, time
        def end(*_):
            with open("ends", "a") as file: file.write(sys.argv[1] + "\\n")
            sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        open("up-" + sys.argv[1], "w").close()
        while True: time.sleep(600)
    """

    def named(name: str, stops_last: bool = False) -> Process:
        process = child(tmp_path, says, name)
        return Process(name, (*process.argv, name), process.env, tmp_path, process.log, stops_last=stops_last)

    async def scenario() -> None:
        watch = Supervisor(lambda _: None)
        for process in (named("broker", stops_last=True), named("a"), named("b")):
            await watch.start(process)
        await until(lambda: len(list(tmp_path.glob("up-*"))) == 3)
        await watch.stop()

    asyncio.run(scenario())
    ends = (tmp_path / "ends").read_text().split()
    assert sorted(ends) == ["a", "b", "broker"]
    assert ends[-1] == "broker"


def test_stop_kills_what_does_not_stop(tmp_path: Path) -> None:
    async def scenario() -> None:
        watch = Supervisor(lambda _: None)
        process = child(tmp_path, STUBBORN)
        await watch.start(process)
        pid = watch.pid("child")
        await until(process.log.read_bytes)
        await watch.stop(within=0.3)
        assert pid
        assert not is_alive(pid)

    asyncio.run(scenario())


def test_stop_ends_a_paused_process(tmp_path: Path) -> None:
    async def scenario() -> float:
        watch = Supervisor(lambda _: None)
        await watch.start(child(tmp_path, SLEEPS))
        watch.pause("child")
        began = time.monotonic()
        await watch.stop(within=8)
        return time.monotonic() - began

    assert asyncio.run(scenario()) < 8  # asked, not killed


def test_stop_during_the_pause_before_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        seen: list[Restart] = []
        watch = Supervisor(seen.append)
        await watch.start(child(tmp_path, "raise SystemExit(1)"))
        await until(lambda: seen)
        await watch.stop()
        assert watch.pid("child") is None
        assert watch.restarts("child") == 0

    asyncio.run(scenario())


def test_workers_of_a_killed_process_are_gone_before_it_is_restarted(tmp_path: Path) -> None:
    code = """
        import os, pathlib, subprocess, sys, time
        worker = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
        pathlib.Path("worker").write_text(str(worker.pid))
        time.sleep(600)
    """

    async def scenario() -> None:
        worker = tmp_path / "worker"
        seen: list[bool] = []
        watch = Supervisor(lambda _: seen.append(is_alive(int(worker.read_text()))))
        await watch.start(child(tmp_path, code))
        await until(lambda: worker.exists() and worker.read_text())
        pid = watch.pid("child")
        assert pid
        os.kill(pid, signal.SIGKILL)  # from outside: the process alone, not its group
        await until(lambda: seen)
        await watch.stop()
        await until(lambda: not is_alive(int(worker.read_text())))

    asyncio.run(scenario())


def test_children_have_their_own_process_group(tmp_path: Path) -> None:
    async def scenario() -> None:
        watch = Supervisor(lambda _: None)
        await watch.start(child(tmp_path, SLEEPS))
        pid = watch.pid("child")
        assert pid
        assert os.getpgid(pid) == pid != os.getpgrp()
        await watch.stop()

    asyncio.run(scenario())


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux")
def test_nobody_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    code = f"""
        import asyncio, os, pathlib, sys
        from sandbox.supervisor import Process, Supervisor
        async def main():
            watch = Supervisor(print)
            for name in ("a", "b"):
                argv, log = (sys.executable, "-c", {STUBBORN!r}), pathlib.Path(name + ".log")
                await watch.start(Process(name, argv, dict(os.environ), pathlib.Path.cwd(), log))
            while not all(os.path.getsize(name + ".log") for name in "ab"): await asyncio.sleep(0.01)
            print(watch.pid("a"), watch.pid("b"), flush=True)
            await asyncio.sleep(600)
        asyncio.run(main())
    """
    argv = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pids = [int(each) for each in process.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(is_alive, pids))
        process.kill()
    asyncio.run(until(lambda: not any(map(is_alive, pids))))


def test_log_stays_bounded_while_its_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "LARGEST_LOG", 1000)
    monkeypatch.setattr(supervisor, "LOOK_AT_LOG", 0.01)

    async def scenario() -> None:
        watch = Supervisor(lambda _: None)
        process = child(tmp_path, "while True: print('x' * 99, flush=True); __import__('time').sleep(0.001)")
        await watch.start(process)
        old = process.log.with_name("child.log.1")
        await until(old.exists)
        await until(lambda: process.log.read_bytes().startswith(b"x"))  # no hole where it was emptied
        await watch.stop()
        assert old.stat().st_size < 100_000
        assert process.log.stat().st_size < 100_000

    asyncio.run(scenario())


def test_log_that_is_short_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("short")
    logfile.rotate(log)
    assert log.read_text() == "short"
    assert not (tmp_path / "a.log.1").exists()


def test_last_line_of_a_silent_process(tmp_path: Path) -> None:
    assert logfile.last_line(tmp_path / "a.log") == f"it wrote nothing to {tmp_path / 'a.log'}"
