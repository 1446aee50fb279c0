"""`tocsin connect` as a person uses it: in a terminal, against the simulated tenant, with mistakes on the way."""

import asyncio
import itertools
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from dotenv import dotenv_values

from ingest.hooks import Hooks
from sandbox import alert_api
from sandbox.alert_gate import API_KEY, POWERLESS_KEY
from sandbox.firewall import Firewall
from sandbox.receivers import TeamsReceiver
from sandbox.serving import serving
from sandbox.tenant import Tenant

CONNECT = (sys.executable, "-P", "-m", "ops", "connect")
WITHIN = 60


class Simulated:
    """The tenant and the channel, served from a thread: the test itself waits for a terminal."""

    def __init__(self) -> None:
        self.teams = TeamsReceiver(sig="a%2Fb_secret-signature")
        self.firewall = Firewall()
        clock = itertools.count(int(time.time()) - 1000, 5)  # the newest of two alerts is one
        self.tenant = Tenant(1, odd_every=0, clock=lambda: float(next(clock)))
        self.tenant.create_alert(title="An older alert")
        self.tenant.create_alert(title="Credential dumping \x1b[31m", short_id="ALq7Zt3Kx9Pd")
        self.base = ""
        self._up, self._down = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        app = alert_api.create_app(self.tenant, self.firewall, None, self.teams, latency=0.0)
        async with serving(app) as self.base:
            self._up.set()
            await asyncio.to_thread(self._down.wait)

    @property
    def teams_url(self) -> str:
        return self.teams.url(self.base)

    def environment(self, **more: str) -> dict[str, str]:
        root = str(Path(__file__).parents[2])
        return os.environ | {"SEKOIA_API_BASE": self.base, "PYTHONPATH": root, "TERM": "dumb"} | more

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(WITHIN)
        return self

    def __exit__(self, *_: object) -> None:
        self._down.set()
        self._thread.join(WITHIN)


@pytest.fixture(scope="module")
def shared() -> Iterator[Simulated]:
    with Simulated() as simulated:
        yield simulated


@pytest.fixture
def simulated(shared) -> Simulated:
    shared.teams.posts.clear()
    shared.firewall.unblock()
    return shared


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, env: dict[str, str], *options: str) -> None:
        self.text = ""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execve(CONNECT[0], [*CONNECT, *options], env)  # noqa: S606

    def until(self, pattern: str) -> None:
        """Read on until the pattern shows, after what was found last."""
        start, end = len(self.text), time.monotonic() + WITHIN
        while not re.search(pattern, self.text[start:]):
            assert time.monotonic() < end, f"waited for {pattern!r} in {self.text}"
            if not self._read():
                raise AssertionError(f"ended without {pattern!r}: {self.text}")

    def answer(self, pattern: str, line: str) -> None:
        self.until(pattern)
        if "not shown" in pattern:  # getpass turns the echo off, then prompts
            assert not termios.tcgetattr(self._fd)[3] & termios.ECHO
        os.write(self._fd, f"{line}\n".encode())

    def press(self, key: bytes) -> None:
        os.write(self._fd, key)

    def end(self) -> int:
        end = time.monotonic() + WITHIN
        while self._read() and time.monotonic() < end:
            pass
        os.close(self._fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> bool:
        if not select.select([self._fd], [], [], 0.1)[0]:
            return True
        try:
            data = os.read(self._fd, 4096)
        except OSError:  # Linux says so when the other end is gone
            return False
        self.text += data.decode(errors="replace")
        return bool(data)


def test_from_a_key_to_a_card_with_every_mistake_on_the_way(simulated):
    Path(".env").write_text("# my settings\nKAFKA_PARTITIONS=3\n")
    Path(".env").chmod(0o644)
    terminal = Terminal(simulated.environment())
    terminal.answer("API key .not shown", "wrong-key-of-somebody")
    terminal.answer("does not accept the key .401.*\n(.|\n)*API key .not shown", POWERLESS_KEY)
    terminal.answer("SIC_READ_ALERTS(.|\n)*API key .not shown", "no key at all")
    terminal.answer("not an API key(.|\n)*API key .not shown", API_KEY)
    terminal.answer(
        "key works(.|\n)*ALq7Zt3Kx9Pd Credential(.|\n)*URL .not shown", "https://x.webhook.office.com/hidden"
    )
    terminal.answer("no longer work(.|\n)*URL .not shown", f"{simulated.base}/teams/soc?sig=wrong-signature")
    terminal.answer("did not take the test card(.|\n)*URL .not shown", simulated.teams_url)
    terminal.until("took the card marked TEST")
    assert terminal.end() == 0, terminal.text
    values = dotenv_values(".env")
    token = values["INGEST_HOOKS"].removeprefix("sekoia=")
    assert values == {
        "KAFKA_PARTITIONS": "3",
        "SEKOIA_REGION": "FRA1",
        "SEKOIA_API_KEY": API_KEY,
        "TEAMS_WEBHOOK_URL": simulated.teams_url,
        "INGEST_HOOKS": f"sekoia={token}",
    }
    assert Path(".env").read_text().startswith("# my settings\nKAFKA_PARTITIONS=3\n")
    assert stat.S_IMODE(Path(".env").stat().st_mode) == 0o600
    assert [path.name for path in Path().iterdir()] == [".env"]
    assert f"https://YOUR-ADDRESS/hooks/{token}" in terminal.text
    assert simulated.firewall.stats.blocks == 0
    cards = [post.card for post in simulated.teams.posts if post.shown]
    assert [card["body"][0]["text"] for card in cards] == ["TEST: Credential dumping \\[31m"]
    for secret in (API_KEY, POWERLESS_KEY, "signature", "wrong-key", "hidden", "no key at all", "\x1b[31m"):
        assert secret not in terminal.text


def test_the_region_is_asked_and_an_address_of_the_console_will_do(simulated):
    env = simulated.environment()
    del env["SEKOIA_API_BASE"]
    terminal = Terminal(env)
    terminal.answer(r"Region .*\[FRA1\]: ", "Mars")
    terminal.answer(r"no region 'Mars'(.|\n)*Region .*: ", "https://app.usa1.sekoia.io/operations/alerts")
    terminal.until("API key .not shown")
    terminal.press(b"\x03")
    assert terminal.end() == 130
    assert not Path(".env").exists()


def test_a_second_run_keeps_what_enter_keeps(simulated):
    before = f"SEKOIA_API_KEY={API_KEY}\nTEAMS_WEBHOOK_URL='{simulated.teams_url}'\nINGEST_HOOKS=soc={'t' * 20}\n"
    Path(".env").write_text(before)
    terminal = Terminal(simulated.environment())
    terminal.answer("API key .not shown, Enter keeps", "")
    terminal.answer("URL .not shown, Enter keeps", "")
    assert terminal.end() == 0, terminal.text
    assert dict(dotenv_values(".env")) == {
        "SEKOIA_API_KEY": API_KEY,
        "TEAMS_WEBHOOK_URL": simulated.teams_url,
        "INGEST_HOOKS": f"soc={'t' * 20}",
        "SEKOIA_REGION": "FRA1",
    }
    assert simulated.teams.posts == []


def test_hooks_of_a_file_count_and_no_second_one_is_made(simulated):
    Path("hooks").write_text(f"soc {'a' * 64}\n")
    Path(".env").write_text("INGEST_HOOKS_FILE=hooks\nINGEST_TLS_CERT=cert.pem\n")
    env = simulated.environment(SEKOIA_API_KEY=API_KEY)
    done = run(env, "--no-input")
    assert done.returncode == 0, done.stderr
    assert "INGEST_HOOKS" not in dotenv_values(".env")
    assert Path("hooks").read_text() == f"soc {'a' * 64}\n"
    assert "`tocsin hooks new` makes another" in done.stdout
    assert "https://127.0.0.1:8080" in done.stdout


def test_a_file_without_a_hook_gets_the_first_one_as_a_hash_and_the_address_is_shown(simulated):
    Path(".env").write_text("INGEST_HOOKS_FILE=hooks\n")
    done = run(simulated.environment(SEKOIA_API_KEY=API_KEY), "--no-input")
    assert (done.returncode, Path("hooks").exists()) == (2, False)
    assert "run `tocsin hooks new sekoia` first" in done.stderr
    terminal = Terminal(simulated.environment())
    terminal.answer("API key .not shown", API_KEY)
    assert not Path("hooks").exists()  # nothing is written before the end
    terminal.answer("URL .not shown, Enter skips", "")
    assert terminal.end() == 0, terminal.text
    token = re.search(r"https://YOUR-ADDRESS/hooks/(\S+)", terminal.text)[1]
    assert Hooks.parse_file(Path("hooks").read_text()).find(token).name == "sekoia"
    assert stat.S_IMODE(Path("hooks").stat().st_mode) == 0o600
    assert "INGEST_HOOKS" not in dotenv_values(".env")
    assert token not in Path(".env").read_text() + Path("hooks").read_text()


@pytest.mark.parametrize("prompt", ["API key .not shown", "URL .not shown"])
@pytest.mark.parametrize("key", [b"\x03", b"\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_stopping_at_any_question_leaves_everything_as_it_was(simulated, prompt, key):
    Path(".env").write_text("KAFKA_PARTITIONS=3\n")
    terminal = Terminal(simulated.environment())
    if prompt.startswith("URL"):
        terminal.answer("API key .not shown", API_KEY)
    terminal.until(prompt)
    terminal.press(key)
    assert terminal.end() == 130, terminal.text
    assert "Nothing was written" in terminal.text
    assert "Traceback" not in terminal.text
    assert [(path.name, path.read_text()) for path in Path().iterdir()] == [(".env", "KAFKA_PARTITIONS=3\n")]


def test_stopping_while_the_channel_hangs_leaves_everything_as_it_was(simulated):
    simulated.teams.hang()
    terminal = Terminal(simulated.environment())
    terminal.answer("API key .not shown", API_KEY)
    terminal.answer("URL .not shown", simulated.teams_url)
    end = time.monotonic() + WITHIN
    while not simulated.teams.posts:
        assert time.monotonic() < end
        time.sleep(0.05)
    os.kill(terminal.pid, signal.SIGINT)
    assert terminal.end() == 130, terminal.text
    assert list(Path().iterdir()) == []


def run(env: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CONNECT, *options],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )


def test_a_script_gives_its_secrets_in_the_environment_and_sees_no_token(simulated):
    env = simulated.environment(SEKOIA_API_KEY=API_KEY, TEAMS_WEBHOOK_URL=simulated.teams_url)
    done = run(env, "--no-input", "--region", "fra2", "--hook", "soc")
    assert done.returncode == 0, done.stderr
    values = dotenv_values(".env")
    assert (values["SEKOIA_REGION"], values["SEKOIA_API_KEY"]) == ("FRA2", API_KEY)
    token = values["INGEST_HOOKS"].removeprefix("soc=")
    assert len(token) >= 32
    assert [post.status for post in simulated.teams.posts] == [202]
    for secret in (token, API_KEY, "signature"):
        assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("more", "options", "says"),
    [
        ({}, (), "no terminal to ask in"),
        ({}, ("--no-input",), "SEKOIA_API_KEY is not set"),
        ({"SEKOIA_API_KEY": "wrong-key-of-somebody"}, ("--no-input",), "does not accept the key (401)"),
        ({"SEKOIA_API_KEY": POWERLESS_KEY}, ("--no-input",), 'SIC_READ_ALERTS (shown as "View alerts")'),
        ({"SEKOIA_API_KEY": API_KEY}, ("--no-input", "--region", "Mars"), "no region 'Mars'"),
        ({"SEKOIA_API_KEY": API_KEY, "SEKOIA_API_BASE": "http://127.0.0.1:1"}, ("--no-input",), "cannot be reached"),
        ({"SEKOIA_API_KEY": API_KEY, "TEAMS_WEBHOOK_URL": "https://a.webhook.office.com/hidden"}, ("--no-input",), "no longer"),
        ({"SEKOIA_API_KEY": API_KEY}, ("--no-input", "--hook", "a b"), "not name=token"),
    ],
)  # fmt: skip
def test_a_script_with_a_mistake_gets_one_sentence_and_no_file(simulated, more, options, says):
    done = run(simulated.environment(**more), *options)
    assert done.returncode == 2, done.stdout + done.stderr
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(Path().iterdir()) == []
    for secret in (*more.values(), "hidden"):
        assert secret == "http://127.0.0.1:1" or secret not in done.stdout + done.stderr


def test_a_person_is_told_when_the_environment_wins(simulated):
    Path(".env").write_text("INGEST_HOOKS=soc=tttttttttttttttttttt\n")
    env = simulated.environment(SEKOIA_API_KEY="key-set-in-the-shell")
    terminal = Terminal(env)
    terminal.answer("API key .not shown", API_KEY)
    terminal.answer("URL .not shown, Enter skips", "")
    assert terminal.end() == 0, terminal.text
    assert "SEKOIA_API_KEY is also set in the environment, which wins" in terminal.text
    assert "key-set-in-the-shell" not in terminal.text
