"""The fault runner on three real nodes: it makes a zombie, and finds exactly what was spoiled afterwards."""

import re
import subprocess
import sys

import pytest


@pytest.mark.system
def test_a_short_run_makes_a_zombie_and_finds_exactly_what_was_spoiled(tmp_path):
    command = [sys.executable, "-m", "sandbox.chaos", "--duration", "12", "--seed", "7", "--workers", "2"]
    command += ["--rate", "60", "--sabotage", "double", "--keep", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert done.stdout, done.stderr
    line = done.stdout.strip().splitlines()[-1]
    found = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line)}
    everything = done.stdout + done.stderr
    assert done.returncode == 1, everything
    assert found["zombies"] >= 1, everything
    assert found["faults"] >= 1, everything
    assert (found["doubled"], found["missing"], found["invented"], found["blocks"]) == (1, 0, 0, 0), everything
    assert found["reordered"] <= 1, "a double stands behind later ones of its partition"


@pytest.mark.long
@pytest.mark.system
def test_the_urgent_are_told_while_the_alert_api_is_away_and_all_are_completed_later(tmp_path):
    command = [sys.executable, "-m", "sandbox.chaos_api", "--block", "8", "--events", "200", "--seed", "7"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "urgent_unnotified_within_15s=0 completed=200 blocks_caused=0"
