"""How `tocsin why` looks: on a screen of 80 columns, and as JSON."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops.dead_letters import safe
from ops.life import Arrival, Event, Revision
from ops.life_targets import Told
from ops.why import Life

_FATES = {
    "enriched": "taken by the stream",
    "duplicate": "a copy; the stream dropped it",
    "same alert": "the stream made it one with what is known of this alert already",
    "dead letter": "could not be read; a dead letter",
    "waiting": "waits for the stream",
    "not found": "the stream is past it, and nothing of it was found in what was read",
}
Line = tuple[str, str, str]
"""What, when, and the rest."""


def as_json(life: Life) -> str:
    """Return everything as one JSON object; of the alert itself only what names it."""

    def plain(event: Event) -> dict[str, Any]:
        said = asdict(event)
        for each, one in zip(said["revisions"], event.revisions, strict=True):
            del each["event"]
            each |= {"what": one.what, "seconds_after_arrival": one.after}
        for each, arrival in zip(said["arrivals"], event.arrivals, strict=True):
            each["spooled_seconds"] = arrival.spooled
        return {**said, "targets": [asdict(told) for told in life.told.get(event.event_id, [])]}

    letters = [asdict(letter) | {"place": str(letter.place), "fate": fate} for letter, fate in life.letters]
    said = asdict(life) | {"events": [plain(event) for event in life.events], "letters": letters}
    del said["told"]
    return json.dumps(said, default=str, indent=2)


def show(life: Life, console: Console | None = None) -> None:
    """Print it."""
    console = console or Console(highlight=False)
    console.print(Text(safe(life.title or "(no title known)"), style="bold"))
    console.print(Text(f"alert {safe(life.key)}, found {life.found}"))
    if life.link:
        console.print(Text(safe(life.link)))
    for event_id, at in life.spooled:
        console.print(Text(f"in this host's spool since {_date(at)}: {safe(event_id)}", style="yellow"))
    for event in life.events:
        _event(console, life, event)
    _table(console, _letters(life) + _resent(life))
    _footer(console, life)


def _event(console: Console, life: Life, event: Event) -> None:
    console.print(Text(f"\n{safe(event.what)}  {safe(event.event_id)}", style="bold"))
    console.print(Text(f"first received {_date(event.at)}"))
    lines = [line for each in event.arrivals for line in _arrival(each)]
    for one in event.revisions:
        lines += [*_revision(one), *_archived(life, one)]
    lines += [line for told in life.told.get(event.event_id, []) for line in _told(told, life.rules_version)]
    _table(console, lines)


def _arrival(each: Arrival) -> list[Line]:
    way = "caught up" if each.origin == "catch-up" else f"hook {each.hook}" if each.hook else each.origin
    lines = [(way, _clock(each.received_at), f"{_FATES[each.fate]} ({each.place}, delivery {each.delivery_id[:12]})")]
    if each.spooled:
        lines.append(("", _clock(each.written_at), f"reached Kafka {each.spooled:,.1f} s later: it waited in a spool"))
    return lines


def _revision(one: Revision) -> list[Line]:
    after = f", {one.after:.1f} s after it came" if one.after is not None else ""
    reason = f" ({one.reason})" if one.reason else ""
    asked = f", the alert as of {_clock(one.fetched_at)}" if one.fetched_at else ""
    if one.attempts > 1:
        asked += f", {one.attempts} attempts"
    when = _clock(one.written_at) if one.written_at else "-"
    return [("enriched", when, f"revision {one.revision}: {one.status}{reason}{asked}{after} ({one.place})")]


def _archived(life: Life, one: Revision) -> list[Line]:
    if one.file:
        return [("archive", "", one.file)]
    # The archive is searched by alert: of a case or a report it was not asked.
    if life.archived_to is None or one.event.event.alert_uuid != life.key:
        return []
    lost = one.offset < life.archived_to
    return [("archive", "-", "IN NONE OF ITS FILES, though it is past this record" if lost else "not there yet")]


def _told(told: Told, today: str) -> list[Line]:
    parts = [told.state if told.revision == 0 else f"{told.state} (revision {told.revision})"]
    if told.job:
        parts.append(f"sent again by job {told.job}")
    if told.latency is not None:
        parts.append(f"{told.latency:.1f} s after it came")
    if told.attempts > 1:
        parts.append(f"{told.attempts} attempts")
    parts += [part for part in (told.status, told.run_id) if part and part != told.state and part not in told.why]
    if told.digest:
        parts.append(f"in digest {told.digest}")
    if told.rules:
        parts.append(f"by {', '.join(told.rules)}")
    if told.rules_version:
        other = "" if told.rules_version == today else ", not today's file"
        parts.append(f"rules {told.rules_version[:12]}{other}")
    lines = [(told.target, _clock(told.at) if told.at else "-", "; ".join(parts))]
    if told.twice:
        lines.append(("", "", f"MAY HAVE BEEN SHOWN TWICE: {told.twice}"))
    return lines + [("", "", f"because {reason}" if told.state == "not matched" else reason) for reason in told.why]


def _letters(life: Life) -> list[Line]:
    return [
        (
            "dead letter",
            _clock(letter.buried_at),
            f"{letter.stage} {letter.target}: {letter.reason}; {fate} (letter {letter.place}, of {letter.source})",
        )
        for letter, fate in life.letters
    ]


def _resent(life: Life) -> list[Line]:
    return [
        ("sent again", _clock(each.at), f"to {each.target}: {each.cause}, job {each.job} ({each.place})")
        for each in life.resent
    ]


def _footer(console: Console, life: Life) -> None:
    console.print()
    for bound in life.bounds:
        console.print(
            Text(f"read {bound.topic}/{bound.partition}: {bound.read:,} of {bound.of:,} places, {bound.how}", "dim")
        )
    for note in life.notes:
        console.print(Text(f"note: {safe(note)}", "dim"))


def _table(console: Console, lines: list[Line]) -> None:
    if not lines:
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(max_width=16, overflow="fold")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row(*(Text(safe(cell)) for cell in line))
    console.print(table)


def _clock(time: datetime) -> str:
    return f"{time:%H:%M:%S}.{time.microsecond // 1000:03d}"


def _date(time: datetime) -> str:
    return f"{time:%Y-%m-%d} {_clock(time)} UTC"
