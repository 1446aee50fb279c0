"""The fault run of ingest, in its shortest form: its oracle finds the one event that was taken away, and nothing else."""

import subprocess
import sys

import pytest


@pytest.mark.kafka
@pytest.mark.system
def test_a_short_run_loses_nothing_but_what_is_taken_away():
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.chaos_ingest", "--duration", "1", "--seed", "0", "--sabotage", "drop"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    figures = dict(pair.split("=") for pair in done.stdout.splitlines()[-1].split())
    assert done.returncode == 1, done.stdout + done.stderr
    assert int(figures["faults"]) >= 1
    assert int(figures["accepted"]) > 100
    # Taken from the raw topic, it is missing there and made up behind the stream.
    expected = {"missing": "1", "invented": "1", "stray": "0", "doubled_after_dedupe": "0", "reordered": "0"}
    assert {name: figures[name] for name in expected} == expected
