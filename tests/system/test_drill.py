"""Drills: what breaks is told to operators once, and once when it is over; seen from outside, in the sandbox."""

import re
import subprocess
import sys

import pytest

from ops.conditions import CONDITIONS
from sandbox.drill_faults import DRILLS

FIGURES = re.compile(r"(?:(\S+): )?alerted_in_s=(\d+\.\d) runbook=(docs/runbook\.md#\w+) recovered_notice=(\d+)")


def drill(folder, *arguments):
    command = [sys.executable, "-m", "ops", "drill", *arguments]
    return subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False)


def test_the_list_names_the_faults(tmp_path):
    lines = drill(tmp_path, "--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(DRILLS)
    assert len(lines) >= 12


def test_every_condition_has_a_drill():
    assert CONDITIONS.keys() == {each.key.partition("/")[0] for each in DRILLS.values()}


def test_a_name_that_is_none_is_said(tmp_path):
    done = drill(tmp_path, "kafka-dwon")
    assert (done.returncode, "`tocsin drill --list` names them" in done.stderr) == (2, True)


def judge(done, names):
    assert done.returncode == 0, done.stdout + done.stderr
    found = {match[1]: match for match in map(FIGURES.fullmatch, done.stdout.splitlines()) if match}
    assert found.keys() == set(names)
    for name, match in found.items():
        condition = CONDITIONS[DRILLS[name].key.partition("/")[0]]
        assert (match[3], match[4]) == (condition.runbook, "1"), name


@pytest.mark.system
def test_operators_are_told_and_told_when_it_is_over(tmp_path):
    names = ["target-unavailable", "sinks-frozen", "key-expiring", "rules-broken"]
    judge(drill(tmp_path, *names), names)


@pytest.mark.system
@pytest.mark.long
def test_every_drill(tmp_path):
    judge(drill(tmp_path, "--all"), DRILLS)
