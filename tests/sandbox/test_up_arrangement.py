"""What `tocsin up` decides to run, for each of the ways a person may have set it up."""

from dataclasses import replace
from pathlib import Path

import pytest

from events.errors import NotReady
from sandbox.arrangement import Arrangement, Settings, arrange
from sandbox.plan import Ports

RULES = """\
targets:
  soc: {type: teams, url: "https://x.example/${PART}"}
  boss: {type: teams, url: "https://y.example/y"}
rules:
  - {name: everything, match: all, notify: [soc, boss]}
"""


@pytest.fixture(autouse=True)
def _data_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()


def arranged(environment: dict[str, str] | None = None, ports: Ports | None = None) -> Arrangement:
    return arrange(Settings.read(), Path.cwd(), environment or {}, lambda wanted: ports or wanted)


def test_nothing_set_means_everything_simulated(tmp_path: Path) -> None:
    it = arranged()
    assert (it.embedded, it.posts, it.simulates, it.targets) == (True, True, True, ("teams",))
    assert it.layout.tenant_url == "http://127.0.0.1:8090"
    assert it.layout.teams_url == "http://127.0.0.1:8090/teams/soc?sig=simulated"
    assert it.layout.data == tmp_path / "data"
    assert it.notes == ("No SEKOIA_API_KEY: running against a simulated tenant.",)


def test_key_means_the_real_tenant_and_a_simulated_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEKOIA_API_KEY", "secret-key")
    it = arranged()
    assert (it.posts, it.simulates, it.layout.tenant_url) == (False, True, "")
    assert it.notes[-1] == "No TEAMS_WEBHOOK_URL and no tocsin.yml: cards go to a simulated Teams channel."
    assert "https://api.sekoia.io" in it.notes[0]
    assert "secret-key" not in repr(it)


def test_key_and_channel_mean_nothing_is_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEKOIA_API_KEY", "key")
    monkeypatch.setenv("TEAMS_WEBHOOK_URL", "https://x.example/x")
    it = arranged()
    assert (it.posts, it.simulates, it.layout.teams_url) == (False, False, "")


def test_channel_without_key_is_warned_of_made_up_alerts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_WEBHOOK_URL", "https://x.example/x")
    it = arranged()
    assert it.posts
    assert "made-up alerts go to your own targets" in it.notes[1]


def test_dot_env_counts(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KAFKA_BOOTSTRAP_SERVERS=kafka:9092\nINGEST_HOOKS=soc=tok\nTOCSIN_DATA=elsewhere\n")
    it = arranged()
    assert (it.embedded, it.layout.bootstrap, it.layout.hooks) == (False, "kafka:9092", "soc=tok")
    assert it.layout.data == tmp_path / "elsewhere"


def test_rules_file_names_the_targets(tmp_path: Path) -> None:
    (tmp_path / "tocsin.yml").write_text(RULES)
    it = arranged({"PART": "x"})
    assert it.targets == ("soc", "boss")
    assert it.layout.teams_url == ""


def test_rules_file_with_a_mistake_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "tocsin.yml").write_text(RULES)
    with pytest.raises(NotReady, match=r"environment variable PART is not set"):
        arranged({})


def test_moved_hook_is_said() -> None:
    it = arranged(ports=replace(Ports(), ingest=8085, kafka=9093))
    assert it.notes[1:] == (
        "Port 8080 is taken: the hook is on port 8085 this time.",
        "Other ports taken and moved: 9092 to 9093.",
    )
    assert ":8085/" in it.layout.hook_url


def test_hook_stays_the_same() -> None:
    assert arranged().layout.hook_url == arranged().layout.hook_url
