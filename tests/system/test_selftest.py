"""The whole pipeline on real parts, killed while events flow, judged by the oracle."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from events.settings import KafkaSettings
from sandbox import selftest

QUIRKS = ["batch-400", "batch-ignored", "list-lag=5s", "html-200"]


def run(tmp_path, *options):
    command = [sys.executable, "-m", "ops", "selftest", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    lines = done.stdout.strip().splitlines()
    assert lines, done.stderr
    return done.returncode, json.loads(lines[-1]), done.stdout + done.stderr


@pytest.mark.system
def test_nothing_is_lost_or_doubled_while_rooms_are_killed(tmp_path):
    code, counts, output = run(
        tmp_path, "--events", "300", "--seed", "11", "--kill", "ingest,stream,sink,archive,broker"
    )
    assert code == 0, output
    assert counts["kills"] == 5
    assert counts["missing"] == counts["invented"] == counts["doubled_in_topics"] == counts["reordered"] == 0
    assert counts["unique"] == counts["enriched"] == counts["delivered"] >= 300
    assert counts["accepted"] > counts["unique"]
    assert counts["dead_letters"] == 8
    assert counts["blocks"] == 0


@pytest.mark.kafka
@pytest.mark.system
def test_an_api_that_behaves_oddly_costs_time_only(kafka, capsys):
    """All on one Kafka, two at a time: each waits for much of its time."""

    def odd(quirk):
        cluster = KafkaSettings(bootstrap_servers=kafka, topic_prefix="odd.")
        return selftest.on_cluster(cluster, as_json=True, events=50, kill=(), quirks=[quirk])

    with ThreadPoolExecutor(2) as pool:
        codes = dict(zip(QUIRKS, pool.map(odd, QUIRKS), strict=True))
    output = capsys.readouterr()
    assert codes == dict.fromkeys(QUIRKS, 0), output
    counts = [json.loads(line) for line in output.out.splitlines()]
    assert [each["pending"] for each in counts] == [0] * len(QUIRKS)
    assert all(each["unique"] == each["enriched"] == each["delivered"] >= 50 for each in counts)


@pytest.mark.system
def test_the_oracle_fails_when_the_evidence_is_spoiled(tmp_path):
    code, counts, _ = run(tmp_path, "--events", "40", "--seed", "5", "--sabotage", "drop")
    assert code == 1
    assert counts["missing"] > 0
