"""`tocsin reconcile` as a command: what it asks, how it looks, and how it ends."""

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics
from inbox.settings import InboxSettings
from ingest.settings import IngestSettings
from ops import catch_up_delay, spool_look, why
from ops.bar import Bar
from ops.catch_up_cli import FURTHEST
from ops.catch_up_settings import CatchUpSettings
from ops.dead_letters import safe
from ops.gaps import Count, Gap, Kind
from ops.mend import feed, remedy
from ops.paced import alert_api
from ops.reconcile import Asked, Report, reconcile, unaccounted
from sinks.archive.manifest import BrokenManifest
from stream.alert_api import Refused, Unavailable
from stream.settings import SekoiaSettings, StreamSettings

SETTLING = timedelta(minutes=1)
"""What is younger may be between two stages just now, and is not judged."""

SHOWN = 20
"""Gaps of one kind that are named on the screen; --json names all."""

NOT_JUDGED = "before the first it told by these rules, or its rules go by what was told before"
NEVER = "No API tells of changes between two states, deleted alerts, comments or reports: whether those came, nobody can say."


def run(since: datetime, *, api: bool, as_json: bool, mend: bool = False) -> int:
    """Compare all stages and print what was found, and mend what it can; return 1 when something is unaccounted for.

    Raises NotReady.
    """
    kafka, notes = KafkaSettings(), list[str]()
    until = datetime.now(UTC) - SETTLING
    if since >= until:
        raise NotReady("--since must be more than a minute ago: what is younger is still on its way.")
    if until - since > FURTHEST:
        raise NotReady(f"--since must be in the last {FURTHEST.days} days: the raw topic remembers no longer.")
    root, rules = why.archive_at_hand(notes), why.rules_at_hand(notes)
    asked = Asked(since, until, StreamSettings().dedupe_window, rules, root)
    try:
        report = asyncio.run(_run(kafka, asked, notes, api=api))
    except BrokenManifest as error:
        raise NotReady(f"The archive in {root.name if root else None} cannot be believed: {error}") from error
    except KafkaError as error:
        raise NotReady(f"Kafka at {kafka.bootstrap_servers} does not do its part: {error!r}.") from error
    report.notes[:0] = notes
    if as_json:
        # A Counter does not survive asdict.
        counts = {"origins": dict(report.origins), "not_judged": dict(report.not_judged)}
        found = {kind: remedy(kind, gaps) for kind, gaps in _by_kind(report).items()}
        said = asdict(report) | counts | {"unaccounted": unaccounted(report), "remedies": found, "never": NEVER}
        print(json.dumps(said, default=str, indent=2))
    else:
        show(report)
    if mend:
        try:
            fed = asyncio.run(feed(kafka, report.gaps))
        except KafkaError as error:
            raise NotReady(
                f"Kafka at {kafka.bootstrap_servers} did not take all of them ({error!r}): run it again."
            ) from error
        print(f"{fed:,} records that came in were handed to the stream once more.", file=sys.stderr)
    return 1 if report.gaps else 0


async def _run(kafka: KafkaSettings, asked: Asked, notes: list[str], *, api: bool) -> Report:
    sekoia, spooled = SekoiaSettings(), _count_spool(kafka, notes)
    if not api or not sekoia.api_key.get_secret_value():
        why_not = "SEKOIA_API_KEY is not set" if api else "--no-api"
        notes.append(f"the Alert API is not asked ({why_not}): a webhook that never came is not seen")
        with Bar("partitions") as bar:
            return await reconcile(kafka, asked, bar.show)
    async with alert_api(sekoia, kafka) as pages:
        print("Asking the Alert API, one call in two seconds at most.", file=sys.stderr)
        asked.pages = pages
        asked.delay = await _delay(kafka, spooled, notes)
        try:
            with Bar("partitions") as bar:
                return await reconcile(kafka, asked, bar.show)
        except (Unavailable, Refused) as error:
            raise NotReady(f"The Alert API cannot be compared with ({error}); --no-api compares the rest.") from error


async def _delay(kafka: KafkaSettings, spooled: datetime | None, notes: list[str]) -> timedelta:
    """Return how long a webhook may be on its way, as a catch-up reckons: what is late or in a spool is not lost."""
    now, usual = datetime.now(UTC), CatchUpSettings().delay
    least = max(usual, now - spooled + catch_up_delay.MORE) if spooled else usual
    found = await catch_up_delay.delay(kafka, least, InboxSettings().room_addresses().values(), now)
    if found > usual:
        since = f"{now - found:%Y-%m-%d %H:%M:%S} UTC"
        notes.append(f"changes at the Alert API since {since} are not judged: the stream or a spool is that late")
    return found


def _count_spool(kafka: KafkaSettings, notes: list[str]) -> datetime | None:
    """Note what waits in this host's spool, and return since when."""
    count, since = spool_look.oldest(IngestSettings().spool_folder(), Topics(kafka.topic_prefix).raw)
    if count:
        notes.append(f"{count:,} events wait in this host's spool, the oldest since {since:%Y-%m-%d %H:%M:%S} UTC")
    return since


def show(report: Report, console: Console | None = None) -> None:
    """Print the stages, then every gap by name."""
    console = console or Console(highlight=False)
    span = f"{report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC"
    console.print(Text(f"From {span}", style="bold"))
    table = Table(box=None, pad_edge=False)
    for title in ("stage", "expected", "there", "waiting", "unaccounted"):
        table.add_column(title, justify="left" if title == "stage" else "right")
    for name, count, gaps in _stages(report):
        missing = Text(f"{gaps:,}", style="bold red" if gaps else "")
        table.add_row(Text(safe(name)), f"{count.expected:,}", f"{count.there:,}", f"{count.waiting:,}", missing)
    console.print(table)
    came = ", ".join(f"{count:,} by {origin}" for origin, count in sorted(report.origins.items()))
    console.print(Text(f"raw records: {came or 'none'}; {report.pending:,} events still wait for their alert"))
    for kind, named in _by_kind(report).items():
        _name(console, kind, named)
        console.print(Text(f"  what to do: {safe(remedy(kind, named))}", "dim"))
    for target, early in sorted(report.not_judged.items()):
        if early:
            note = f"{early:,} records without a receipt of {target} are not judged: {NOT_JUDGED}"
            console.print(Text(f"note: {safe(note)}", "dim"))
    for note in report.notes:
        console.print(Text(f"note: {safe(note)}", "dim"))
    console.print(Text(NEVER, "dim"))
    total = sum(unaccounted(report).values())
    console.print(Text(f"{total:,} unaccounted for" if total else "Everything is accounted for.", style="bold"))


def _stages(report: Report) -> Iterator[tuple[str, Count, int]]:
    """Yield each stage with its gaps."""
    by_kind = unaccounted(report)
    if report.alerts:
        yield "alerts at the API", report.alerts, by_kind.get("lost webhook", 0) + by_kind.get("lost change", 0)
    yield "unique events, enriched", report.stream, by_kind.get("lost enriched record", 0)
    if report.archive:
        lost = max(0, report.archive.expected - report.archive.there - report.archive.waiting)
        yield "archived", report.archive, max(lost, by_kind.get("lost archive file", 0))
    for target, count in sorted(report.targets.items()):
        yield (
            f"told to {target}",
            count,
            len([gap for gap in report.gaps if gap.kind == "lost receipt" and gap.target == target]),
        )


def _by_kind(report: Report) -> dict[Kind, list[Gap]]:
    found: dict[Kind, list[Gap]] = {}
    for gap in report.gaps:
        found.setdefault(gap.kind, []).append(gap)
    return found


def _name(console: Console, kind: str, gaps: list[Gap]) -> None:
    console.print(Text(f"\n{kind} ({len(gaps):,})", style="bold red"))
    for gap in gaps[:SHOWN]:
        at = f"{gap.at:%Y-%m-%d %H:%M:%S}" if gap.at else ""
        parts = (at, gap.target, gap.place, gap.event, f"alert {gap.alert}" if gap.alert else "")
        console.print(Text("  " + "  ".join(safe(part) for part in parts if part)))
    if len(gaps) > SHOWN:
        console.print(f"  … and {len(gaps) - SHOWN:,} more; --json names all")
