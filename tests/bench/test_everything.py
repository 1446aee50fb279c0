"""`make bench` keeps the figures of each part, and goes on where one fails."""

import sys

import orjson
import pytest

from bench import everything


def test_the_figures_are_those_of_the_last_line_that_has_any():
    said = "warm=1\nrps=3,515 p99_ms=6.1 version=4.1.2 p50_ms=nan\nwritten to a folder\n"
    assert everything.figures(said) == {"rps": 3515.0, "p99_ms": 6.1}
    assert everything.figures("nothing\n") == {}


def test_a_part_that_fails_is_named_and_the_others_go_on(monkeypatch, tmp_path, capsys):
    parts = {"good": ("bench.good",), "bad": ("bench.bad",), "mute": ("bench.mute",), "last": ("bench.last",)}
    said = {
        "bench.good": (0, "eps=12.5 missing=0\n"),
        "bench.bad": (3, "missing=2\n"),
        "bench.mute": (0, ""),
        "bench.last": (0, "mb=7\n"),
    }
    monkeypatch.setattr(everything, "PARTS", parts)
    monkeypatch.setattr(sys, "argv", ["bench", "--results", str(tmp_path)])

    def run(command, **_):
        code, text = said[command[2]]
        return everything.subprocess.CompletedProcess(command, code, text)

    monkeypatch.setattr(everything.subprocess, "run", run)
    with pytest.raises(SystemExit) as end:
        everything.main()
    assert end.value.code == 1
    (written,) = tmp_path.glob("*.json")
    assert [(part["name"], part["failed"]) for part in orjson.loads(written.read_bytes())["parts"]] == [
        ("good", ""),
        ("bad", "exit code 3"),
        ("mute", "no figures in its last line"),
        ("last", ""),
    ]
    (text,) = tmp_path.glob("*.md")
    assert "| bad | **failed: exit code 3** missing 2 |" in text.read_text()
    assert "parts=4 failed=2" in capsys.readouterr().out.splitlines()[-1]
