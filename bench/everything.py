"""`make bench`: every benchmark, short, one after the other; a table and JSON in bench/results (not in git).

A part that fails is named and the others go on; the exit code is 1 then. For figures to publish, run each part by itself on a
machine that does nothing else, with its own defaults.
"""

import argparse
import math
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import orjson

RESULTS = Path(__file__).parent / "results"
LIMIT = 900.0
"""Seconds a part may take before it counts as failed."""
PARTS = {
    "ingest": ("bench.ingest", "--seconds", "3", "--rounds", "2"),
    "stream": ("bench.stream", "--seconds", "5", "--only", "cached", "--only", "latency"),
    "sinks": ("bench.sinks", "--scale", "0.3"),
    "archive": ("bench.archive", "--events", "60000"),
    "e2e": ("bench.e2e", "--seconds", "10"),
}
FIGURE = re.compile(r"([a-z][a-z0-9_]*)=(\S+)")


@dataclass
class Part:
    """One benchmark and what it said."""

    name: str
    command: str
    seconds: float
    failed: str = ""
    figures: dict[str, float] = field(default_factory=dict)


def figures(text: str) -> dict[str, float]:
    """Return the numbers of the last line that holds any, as `name=value` pairs; what is no number is left out."""
    for line in reversed(text.splitlines()):
        found = {}
        for name, value in FIGURE.findall(line):
            try:
                number = float(value.replace(",", ""))
            except ValueError:
                continue
            if math.isfinite(number):  # what was not measured this time
                found[name] = number
        if found:
            return found
    return {}


def run(name: str, command: tuple[str, ...]) -> Part:
    """Run one part; what it says while it runs is on standard error."""
    began, failed, said = time.monotonic(), "", ""
    try:
        done = subprocess.run(
            [sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True, timeout=LIMIT, check=False
        )
        said = done.stdout
        if done.returncode:
            failed = f"exit code {done.returncode}"
    except subprocess.TimeoutExpired:
        failed = f"not done within {LIMIT:.0f} s"
    found = figures(said)
    if not found and not failed:
        failed = "no figures in its last line"
    return Part(name, " ".join(("python -m", *command)), round(time.monotonic() - began, 1), failed, found)


def table(parts: list[Part], load: float, at: datetime) -> str:
    """Return all as Markdown."""
    head = f"{at:%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load {load:.1f} when it began"
    lines = [head, "", "| part | figures | seconds |", "|---|---|--:|"]
    for part in parts:
        said = ", ".join(f"{name} {value:,g}" for name, value in part.figures.items())
        told = f"**failed: {part.failed}** {said}".strip() if part.failed else said
        lines.append(f"| {part.name} | {told} | {part.seconds:.0f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.everything", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="run this only; repeat for several")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    options = parser.parse_args()
    at, load, parts = datetime.now(UTC), os.getloadavg()[0], []
    for name in options.only or PARTS:
        print(f"{name}: python -m {' '.join(PARTS[name])}", file=sys.stderr, flush=True)
        parts.append(run(name, PARTS[name]))
        print(f"{name}: {parts[-1].failed or 'done'}, {parts[-1].seconds:.0f} s", file=sys.stderr, flush=True)
    options.results.mkdir(parents=True, exist_ok=True)
    place = options.results / f"{at:%Y%m%dT%H%M%SZ}"
    place.with_suffix(".md").write_text(table(parts, load, at))
    place.with_suffix(".json").write_bytes(
        orjson.dumps(
            {"at": at, "cores": os.cpu_count(), "load": load, "parts": [asdict(part) for part in parts]},
            option=orjson.OPT_INDENT_2,
        )
    )
    print(table(parts, load, at))
    failed = [part.name for part in parts if part.failed]
    print(f"parts={len(parts)} failed={len(failed)} written={place.with_suffix('.md').name}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
