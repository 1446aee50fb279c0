"""How to reach Kafka, and how a duration is written."""

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from events.errors import NotReady
from events.settings import Duration, KafkaSettings


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in KafkaSettings.model_fields:
        monkeypatch.delenv(f"KAFKA_{name.upper()}", raising=False)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("90s", 90),
        ("1.5m", 90),
        ("15m", 900),
        ("24h", 86_400),
        ("14d", 1_209_600),
        (" 3 s ", 3),
        ("0s", 0),
        ("3", 3),
        (3, 3),
        (2.5, 2.5),
        ("PT15M", 900),
        ("01:30:00", 5400),
        (timedelta(seconds=7), 7),
    ],
)
def test_a_duration_is_read(text: object, seconds: float) -> None:
    assert TypeAdapter(Duration).validate_python(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "s", "soon", "3 weeks", "3M", "1h30m", "--3s", "99999999999d", "9" * 400 + "s", None]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Duration).validate_python(text)


def test_without_a_cluster_one_sentence_says_what_to_do() -> None:
    with pytest.raises(NotReady, match=r"KAFKA_BOOTSTRAP_SERVERS is not set: .*`tocsin broker`"):
        KafkaSettings().client_options()


def test_a_plain_cluster_needs_only_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "a:9092,b:9092")
    assert KafkaSettings().client_options() == {
        "bootstrap_servers": "a:9092,b:9092",
        "security_protocol": "PLAINTEXT",
    }


def test_the_env_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("KAFKA_TOPIC_PREFIX=lab.\nKAFKA_PARTITIONS=3\nINGEST_PORT=1\n")
    monkeypatch.setenv("KAFKA_PARTITIONS", "6")
    settings = KafkaSettings()
    assert (settings.topic_prefix, settings.partitions, settings.group("stream")) == ("lab.", 6, "lab.stream")


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_sasl(monkeypatch: pytest.MonkeyPatch, protocol: str) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "a:9092")
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", protocol)
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "tocsin")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "hunter2")
    settings = KafkaSettings()
    options = settings.client_options()
    assert options["sasl_plain_password"] == "hunter2"
    assert (options["sasl_mechanism"], options["sasl_plain_username"]) == ("SCRAM-SHA-512", "tocsin")
    assert isinstance(options.get("ssl_context"), ssl.SSLContext) is (protocol == "SASL_SSL")
    assert "hunter2" not in f"{settings!r} {settings.model_dump_json()}"


@pytest.mark.parametrize("name", ["none.pem", "empty.pem"])
def test_a_bad_authority_file_is_said_in_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.pem").write_text("no certificate")
    settings = KafkaSettings(bootstrap_servers="a:9092", security_protocol="SSL", ca_file=tmp_path / name)
    with pytest.raises(NotReady, match="KAFKA_CA_FILE"):
        settings.client_options()


@pytest.mark.parametrize(("name", "value"), [("PARTITIONS", "0"), ("MIN_ISR", "x"), ("SECURITY_PROTOCOL", "TLS")])
def test_wrong_settings_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"KAFKA_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        KafkaSettings()


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Container files and copied examples write `NAME=`."""
    for name in KafkaSettings.model_fields:
        monkeypatch.setenv(f"KAFKA_{name.upper()}", "")
    assert KafkaSettings().model_dump() == {n: f.get_default() for n, f in KafkaSettings.model_fields.items()}
