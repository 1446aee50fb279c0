"""The topics of the contract: a change here is a change for every consumer, and needs a new version in the name."""

import pytest

from events.settings import KafkaSettings
from events.topics import MAX_BODY, MAX_ENRICHED, Topic, Topics, contract

DAY = 24 * 3600 * 1000


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    for name in KafkaSettings.model_fields:
        monkeypatch.delenv(f"KAFKA_{name.upper()}", raising=False)


def by_name(kafka: KafkaSettings) -> dict[str, Topic]:
    return {topic.name: topic for topic in contract(kafka)}


def deleted(days: int, max_bytes: int, **more: str) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * DAY), "max.message.bytes": str(max_bytes)} | more


def test_the_topics_their_retention_and_sizes() -> None:
    topics = by_name(KafkaSettings())
    assert {name: topic.config for name, topic in topics.items()} == {
        "tocsin.raw.v1": deleted(14, 524_288),
        "tocsin.enriched.v1": deleted(30, 2_097_152, **{"message.timestamp.type": "LogAppendTime"}),
        "tocsin.marks.v1": {"cleanup.policy": "compact", "max.message.bytes": "1048576"},
        "tocsin.redeliveries.v1": deleted(7, 2_097_152),
        "tocsin.dead-letters.v1": deleted(30, 2_097_152),
        "tocsin.deliveries.v1": deleted(30, 1_048_576),
        "tocsin.archive-heads.v1": {"cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": "1048576"},
    }
    assert {topic.partitions for topic in topics.values()} == {12}


def test_the_prefix_and_the_partitions_come_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_TOPIC_PREFIX", "lab.")
    monkeypatch.setenv("KAFKA_PARTITIONS", "3")
    topics = by_name(KafkaSettings())
    assert all(name.startswith("lab.") for name in topics)
    assert {topic.partitions for topic in topics.values()} == {3}


def test_every_name_is_a_topic_of_the_contract() -> None:
    names = Topics("p.")
    assert set(by_name(KafkaSettings(topic_prefix="p."))) == {
        names.raw,
        names.enriched,
        names.marks,
        names.redeliveries,
        names.dead_letters,
        names.deliveries,
        names.archive_heads,
    }


def test_a_record_fits_where_it_goes_next() -> None:
    """With 4 KiB for its headers: a body into raw, an enriched record into redeliveries, either into dead letters."""
    sizes = {name: int(topic.config["max.message.bytes"]) - 4096 for name, topic in by_name(KafkaSettings()).items()}
    assert sizes["tocsin.raw.v1"] >= MAX_BODY
    assert min(sizes["tocsin.enriched.v1"], sizes["tocsin.redeliveries.v1"]) >= MAX_ENRICHED
    assert sizes["tocsin.dead-letters.v1"] >= max(MAX_ENRICHED, sizes["tocsin.raw.v1"])
