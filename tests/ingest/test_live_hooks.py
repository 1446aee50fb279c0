"""Hooks of a file, and where a sender is."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from typer.testing import CliRunner

from events.errors import NotReady
from ingest import live_hooks
from ingest.hooks import Hooks, line, read_networks
from ingest.live_hooks import LiveHooks, sender
from ingest.metrics import IngestMetrics
from ingest.settings import IngestSettings
from ops.cli import app

OLD, NEW, ENV = "old-token-0123456789", "new-token-0123456789", "env-token-0123456789"
FILE = Path("hooks")


def scope(address: str = "192.0.2.7", *forwarded: str) -> dict:
    return {"client": (address, 4711), "headers": [(b"x-forwarded-for", each.encode()) for each in forwarded]}


def live(**settings) -> LiveHooks:
    return LiveHooks(IngestSettings(_env_file=None, hooks_file=FILE, **settings))


def gone() -> None:
    FILE.unlink()


def write(*lines: str) -> None:
    FILE.write_text("# hooks\n\n" + "\n".join(lines), encoding="utf-8")


def test_hooks_of_the_file_and_of_the_environment_open():
    write(line("soc", OLD), line("soc", NEW) + "  # rotation", line("lab", "lab-token-0123456789"))
    hooks = live(hooks=f"env={ENV}")
    found = [hooks.find(token, scope()) for token in (OLD, NEW, ENV, "x")]
    assert [hook and hook.name for hook in found] == ["soc", "soc", "env", None]
    assert sorted(hooks.names) == ["env", "lab", "soc"]
    assert OLD not in FILE.read_text(encoding="utf-8")


def test_a_change_counts_without_a_restart_and_a_mistake_changes_nothing(monkeypatch):
    monkeypatch.setattr(live_hooks, "LOOK_EVERY", 0.001)
    write(line("soc", OLD))

    async def until(condition) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.001)

    async def scenario() -> None:
        hooks = live()
        following = asyncio.create_task(hooks.follow())
        write(line("soc", OLD), line("soc", NEW))
        await until(lambda: hooks.find(NEW, scope()))
        write(line("soc", NEW))
        await until(lambda: not hooks.find(OLD, scope()))
        write("soc " + OLD)
        await until(lambda: [entry for entry in logs if entry["event"] == "hooks_not_read"])
        assert hooks.find(NEW, scope())
        gone()
        await until(lambda: [entry["event"] for entry in logs].count("hooks_not_read") == 2)
        assert hooks.find(NEW, scope())
        following.cancel()

    with capture_logs() as logs:
        asyncio.run(scenario())
    assert not any(token in str(logs) for token in (OLD, NEW))


def test_a_hook_is_counted_before_its_first_webhook_also_when_it_was_added_meanwhile():
    """What is not counted is not silent: no alert could ask for it."""
    metrics = IngestMetrics(CollectorRegistry())

    def counted() -> dict[str, float]:
        samples = [sample for family in metrics.registry.collect() for sample in family.samples]
        return {each.labels["hook"]: each.value for each in samples if each.name == "tocsin_ingest_accepted_total"}

    write(line("soc", OLD))
    hooks = live(hooks=f"env={ENV}")
    hooks.tell(metrics.hooks)
    assert counted() == {"env": 0.0, "soc": 0.0}
    metrics.accepted("soc", 0.01)
    write(line("soc", OLD), line("lab", NEW))
    hooks.reload()
    assert counted() == {"env": 0.0, "soc": 1.0, "lab": 0.0}


@pytest.mark.parametrize(
    "wrong", ["soc", f"soc {OLD}", "soc " + "0" * 63, "-soc " + "0" * 64, "soc " + "0" * 64 + " x y"]
)
def test_a_line_that_is_none_is_named_by_its_number_only(wrong):
    with pytest.raises(NotReady, match="INGEST_HOOKS_FILE: line 2 is not") as caught:
        Hooks.parse_file("\n" + wrong)
    assert OLD not in str(caught.value)


def test_what_is_missing_is_one_sentence():
    with pytest.raises(NotReady, match=r"cannot be read: hooks .*tocsin hooks new"):
        live()
    write()
    with pytest.raises(NotReady, match="has no hook"):
        live()
    write("soc " + "0" * 64 + " 300.0.0.0/8")
    with pytest.raises(NotReady, match="line 3 is not a list of networks"):
        live()


def test_a_hook_may_be_used_from_its_networks_only():
    write(line("soc", OLD, "192.0.2.0/24,2001:db8::/32"), line("lab", NEW))
    hooks = live(hooks=f"env={ENV}", networks="env=198.51.100.1")
    places = ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1", "198.51.100.1", "", "unix"]
    assert [bool(hooks.find(OLD, scope(place))) for place in places] == [True, True, True, False, False, False]
    assert [bool(hooks.find(NEW, scope(place))) for place in places] == [True] * 6
    assert [bool(hooks.find(ENV, scope(place))) for place in places] == [False, False, False, True, False, False]
    with pytest.raises(NotReady, match="INGEST_NETWORKS names nobody"):
        live(hooks=f"env={ENV}", networks="nobody=198.51.100.1")
    with pytest.raises(NotReady, match="INGEST_NETWORKS: entry 1 is not name=network"):
        live(hooks=f"env={ENV}", networks="198.51.100.1")


@pytest.mark.parametrize(
    ("client", "forwarded", "found"),
    [
        ("203.0.113.9", ["192.0.2.7"], "203.0.113.9"),  # no proxy of ours: it may write what it likes
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", ["1.2.3.4, 192.0.2.7, 10.0.0.2"], "192.0.2.7"),
        ("10.0.0.1", ["1.2.3.4", "192.0.2.7:5000"], "192.0.2.7"),
        ("10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["1.2.3.4, unknown"], ""),
        ("10.0.0.1", ["\xff"], ""),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    ],
)
def test_the_sender_is_the_last_one_no_proxy_of_ours_vouches_for(client, forwarded, found):
    assert sender(scope(client, *forwarded), tuple(read_networks("10.0.0.0/8", ""))) == found


def test_the_command_shows_the_token_once_and_keeps_its_hash(monkeypatch):
    monkeypatch.setenv("INGEST_HOOKS_FILE", str(FILE))
    FILE.write_text(line("lab", OLD), encoding="utf-8")  # no newline at its end
    done = CliRunner().invoke(
        app, ["hooks", "new", "soc", "--url", "https://hooks.example.org/", "--allow", "192.0.2.0/24"]
    )
    assert done.exit_code == 0, done.output
    [url] = [word for word in done.output.split() if word.startswith("https://")]
    token = url.removeprefix("https://hooks.example.org/hooks/")
    assert token not in FILE.read_text(encoding="utf-8")
    hooks = live()
    assert hooks.find(token, scope()).name == "soc"
    assert hooks.find(token, scope("198.51.100.1")) is None
    assert hooks.find(OLD, scope()).name == "lab"


def test_the_command_makes_a_file_only_its_owner_reads_or_prints_the_line(monkeypatch):
    done = CliRunner().invoke(app, ["hooks", "new", "soc"])
    [entry] = [text.strip() for text in done.output.splitlines() if text.startswith("  soc ")]
    [url] = [word for word in done.output.split() if word.startswith("http://127.0.0.1:8080/hooks/")]
    assert Hooks.parse_file(entry).find(url.rpartition("/")[2]).name == "soc"
    monkeypatch.setenv("INGEST_HOOKS_FILE", str(FILE))
    CliRunner().invoke(app, ["hooks", "new", "soc"])
    assert FILE.stat().st_mode & 0o777 == 0o600
    assert isinstance(CliRunner().invoke(app, ["hooks", "new", "the soc"]).exception, NotReady)
    assert isinstance(CliRunner().invoke(app, ["hooks", "new", "soc", "--allow", "everywhere"]).exception, NotReady)
    FILE.unlink()
    FILE.mkdir()
    assert isinstance(CliRunner().invoke(app, ["hooks", "new", "soc"]).exception, NotReady)
