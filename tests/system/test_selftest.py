"""The whole pipeline on real parts, killed while events flow, judged by the oracle."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

QUIRKS = ["batch-400", "batch-ignored", "list-lag=5s", "html-200"]


def selftest(tmp_path, *options):
    command = [sys.executable, "-m", "ops", "selftest", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    lines = done.stdout.strip().splitlines()
    assert lines, done.stderr
    return done.returncode, json.loads(lines[-1]), done.stdout + done.stderr


RUNS = {quirk: ("--events", "40", "--seed", "3", "--quirk", quirk, "--json") for quirk in QUIRKS} | {
    "kill": ("--events", "300", "--seed", "11", "--kill", "ingest,stream,sink,archive,broker"),
    "sabotage": ("--events", "40", "--seed", "5", "--sabotage", "drop"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run them three at a time: each mostly waits."""
    with ThreadPoolExecutor(3) as pool:
        names = sorted(RUNS, key=lambda name: name != "kill")  # the longest first
        yield {name: pool.submit(selftest, tmp_path_factory.mktemp("run"), *RUNS[name]) for name in names}


@pytest.mark.system
def test_nothing_is_lost_or_doubled_while_rooms_are_killed(runs):
    code, counts, output = runs["kill"].result()
    assert code == 0, output
    assert counts["kills"] == 5
    assert counts["missing"] == counts["invented"] == counts["doubled_in_topics"] == counts["reordered"] == 0
    assert counts["unique"] == counts["enriched"] == counts["delivered"] >= 300
    assert counts["accepted"] > counts["unique"]
    assert counts["dead_letters"] == 8
    assert counts["blocks"] == 0


@pytest.mark.system
@pytest.mark.parametrize("quirk", QUIRKS)
def test_an_api_that_behaves_oddly_costs_time_only(runs, quirk):
    code, counts, output = runs[quirk].result()
    assert code == 0, output
    assert counts["pending"] == 0


@pytest.mark.system
def test_the_oracle_fails_when_the_evidence_is_spoiled(runs):
    code, counts, _ = runs["sabotage"].result()
    assert code == 1
    assert counts["missing"] > 0
