"""Readiness: what health says, and one line in the log for each change."""

import pytest
from structlog.testing import capture_logs

from ingest.readiness import Readiness


@pytest.fixture
def readiness():
    return Readiness()


def events(logs):
    return [entry["event"] for entry in logs]


def test_well_until_told_otherwise(readiness):
    assert readiness.trouble is None
    readiness.settled(3)
    readiness.cluster(None)
    assert readiness.trouble is None


def test_it_is_away_until_every_waiting_partition_is_settled(readiness):
    with capture_logs() as logs:
        readiness.unacked(7)
        readiness.unacked(2)
        readiness.unacked(2)
        assert readiness.trouble == "Kafka does not acknowledge (partitions 2, 7)"
        readiness.settled(2)
        assert readiness.trouble == "Kafka does not acknowledge (partitions 7)"
        readiness.settled(7)
    assert readiness.trouble is None
    assert events(logs) == ["kafka_away", "kafka_back"]


def test_the_cluster_comes_before_its_partitions(readiness):
    with capture_logs() as logs:
        readiness.unacked(1)
        readiness.cluster("no broker")
        readiness.settled(1)
        assert readiness.trouble == "no broker"
        readiness.cluster("no broker")
        readiness.cluster(None)
    assert events(logs) == ["kafka_away", "kafka_back"]


def test_a_partition_waits_until_it_is_settled(readiness):
    readiness.unacked(4)
    assert [readiness.waits(number) for number in (3, 4)] == [False, True]
    readiness.settled(4)
    assert not readiness.waits(4)
