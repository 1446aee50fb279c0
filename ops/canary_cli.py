"""`tocsin canary`: the proof of each target, tried now where it can be read back."""

import asyncio
import time
from pathlib import Path

from events.errors import NotReady
from ops.canary import attempt, folder
from ops.canary_record import Record, due, state
from ops.watch_settings import WatchSettings
from sinks.main import choose, load
from sinks.rules import Target
from sinks.settings import SinksSettings

BAD = {"overdue", "missed"}


def run(name: str, *, send: bool) -> int:
    """Try and show the targets; return 1 when one of them is not proved that should be.

    Raises NotReady.
    """
    settings = WatchSettings()
    targets = choose(load(SinksSettings()), name, "")
    return max([asyncio.run(_one(each, settings, send=send)) for each in targets])


async def _one(target: Target, settings: WatchSettings, *, send: bool) -> int:
    canary, place = target.canary, folder(settings.data)
    record, now = Record.load(place, target.name), time.time()
    trying = canary.proof == "read_back" or (canary.proof == "human" and (send or due(canary, record, now)))
    if trying:
        record = await attempt(target, record, settings.canary_url)
        record.save(place, target.name)
    found = state(canary, record, time.time())
    print(f"{target.name} proof={canary.proof} {found}")
    for line in _explained(target, record, found, seconds=time.time() - now if trying else None):
        print(f"  {line}")
    return 1 if found in BAD else 0


def _explained(target: Target, record: Record, found: str, *, seconds: float | None) -> list[str]:
    proof = target.canary.proof
    if proof == "accepted_only":
        return ["what it accepts is not looked for; say how in the rules file, with canary:"]
    if record.trouble:
        return [record.trouble]
    if proof == "read_back":
        return [f"sent and read back in {seconds or 0:.1f} s"]
    said = [] if record.proved_at is None else [f"confirmed {_ago(record.proved_at)}"]
    if found == "overdue":
        said.append(
            f"nobody has confirmed the one sent {_ago(record.sent_at or 0)}: open its link and press the button"
        )
    return said


def _ago(at: float) -> str:
    seconds = max(time.time() - at, 0)
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return "just now"


def confirm(code: str) -> int:
    """Take a code for a person's word that its canary is seen.

    Raises NotReady when no last canary has it.
    """
    place: Path = folder(WatchSettings().data)
    for name in load(SinksSettings()).targets:
        record = Record.load(place, name)
        if record.fits(code):
            record.proved(time.time()).save(place, name)
            print(f"{name} is confirmed.")
            return 0
    raise NotReady("No canary has this code: it was confirmed already, or a newer one has come since.")
