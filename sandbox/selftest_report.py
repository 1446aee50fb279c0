"""What a person sees of a selftest: progress while it runs, a table at its end, one JSON object as the last line."""

import sys
import time
from dataclasses import dataclass, field

import orjson
from rich.console import Console
from rich.table import Table

from sandbox.oracle import Verdict

SHOWN = 20
"""Findings printed of each sort; the counts are complete."""


@dataclass
class Report:
    """Where progress goes; quiet prints the last line only."""

    quiet: bool = False
    began: float = field(default_factory=time.monotonic)

    def line(self, text: str) -> None:
        """Print a line that stays."""
        if not self.quiet:
            print(f"\r\x1b[K{text}" if sys.stdout.isatty() else text, flush=True)

    def progress(self, text: str) -> None:
        """Print a line that the next one replaces; nothing where output is no terminal."""
        if not self.quiet and sys.stdout.isatty():
            print(f"\r\x1b[K{text}", end="", flush=True)


def conclude(verdict: Verdict, report: Report, extra: dict[str, object]) -> int:
    """Print table, findings and JSON; return the exit code."""
    counts = {
        "accepted": verdict.accepted,
        "unique": verdict.unique,
        "enriched": verdict.enriched,
        "delivered": verdict.delivered,
        "archived": verdict.archived,
        "missing": len(verdict.missing),
        "invented": len(verdict.invented),
        "doubled_in_topics": len(verdict.doubled),
        "reordered": len(verdict.reordered),
        "repeated_at_targets": verdict.repeated,
        "in_flight_at_kill": verdict.in_flight_at_kill,
        "dead_letters": verdict.dead_letters,
        "pending": verdict.pending,
    } | extra
    counts["seconds"] = round(time.monotonic() - report.began, 1)
    if not report.quiet:
        _print_table(counts)
        for name in ("missing", "invented", "doubled", "reordered"):
            for finding in getattr(verdict, name)[:SHOWN]:
                print(f"{name}: {finding}")
        print("Proved: nothing is missing, invented, doubled or out of order." if verdict.good else "It is not proved.")
    print(orjson.dumps(counts).decode(), flush=True)
    return 0 if verdict.good else 1


def _print_table(counts: dict[str, object]) -> None:
    table = Table(title="What was sent against what was found", show_header=False)
    for name, count in counts.items():
        bad = name in {"missing", "invented", "doubled_in_topics", "reordered"} and count
        table.add_row(name.replace("_", " "), f"[red]{count}[/red]" if bad else str(count))
    Console().print(table)
