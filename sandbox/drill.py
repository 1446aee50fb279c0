"""`tocsin drill`: break something on purpose, and see whether operators are told of it, and that it is over."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from events.errors import NotReady
from sandbox import drill_site
from sandbox.chaos import finished, since
from sandbox.drill_faults import DRILLS, Drill
from sandbox.drill_site import Notice, Say, Site

WITHIN = 180.0
"""Seconds for each of the two messages; most take two, the breaker of the Alert API rests for thirty, or sixty."""

LEFT_TO_REPEAT = 3.0
"""Seconds after a recovery in which a second message would be a second one."""


@dataclass(frozen=True)
class Result:
    """What operators were told of one fault."""

    name: str
    alerted: float | None
    """Seconds from the fault to the message; None when there was none."""
    runbook: str
    raised: int
    recovered: int

    @property
    def good(self) -> bool:
        """Whether they were told once that it began, and once that it was over."""
        return self.alerted is not None and (self.raised, self.recovered) == (1, 1) and bool(self.runbook)

    def line(self) -> str:
        """Write it as a run ends."""
        alerted = "never" if self.alerted is None else f"{self.alerted:.1f}"
        return f"alerted_in_s={alerted} runbook={self.runbook or 'none'} recovered_notice={self.recovered}"


def listing() -> str:
    """Return the faults, a line each."""
    width = max(map(len, DRILLS))
    return "\n".join(f"{each.name:<{width}}  {each.what}" for each in DRILLS.values())


def chosen(names: Sequence[str]) -> list[Drill]:
    """Return the drills of these names, all of them without any.

    Raises NotReady for a name that is none.
    """
    for name in names:
        if name not in DRILLS:
            raise NotReady(f"There is no drill {name!r}; `tocsin drill --list` names them.")
    return [DRILLS[name] for name in dict.fromkeys(names or DRILLS)]


def run(names: Sequence[str]) -> int:
    """Drill, print what was found, and return 1 when somebody was not told, or more than once."""
    drills, say = chosen(names), since(time.monotonic())
    with tempfile.TemporaryDirectory(prefix="tocsin-drill-", ignore_cleanup_errors=True) as folder:
        results = finished(_run(Path(folder), drills, say))
    for each in results:
        print(f"{each.name}: {each.line()}" if len(results) > 1 else each.line(), flush=True)
    return 0 if all(each.good for each in results) else 1


async def _run(folder: Path, drills: Sequence[Drill], say: Say) -> list[Result]:
    async with drill_site.running(folder, say) as site:
        return await all_of(site, drills, say)


async def all_of(site: Site, drills: Sequence[Drill], say: Say) -> list[Result]:
    """Drill one after the other; what breaks nothing the others need goes on beside them."""
    aside = [asyncio.create_task(one(site, each, say)) for each in drills if each.aside]
    found = [await one(site, each, say) for each in drills if not each.aside]
    found += [await each for each in aside]
    return sorted(found, key=lambda result: list(DRILLS).index(result.name))


async def one(site: Site, drill: Drill, say: Say) -> Result:
    """Make one fault, wait for both messages, and count them."""
    while (raised := await site.raised()) is None or drill.key in raised:
        await asyncio.sleep(0.2)  # of an earlier drill
    begin, began = len(site.notices()), time.time()
    say(f"{drill.name}: {drill.what}")
    async with drill.fault(site):
        first = await _notice(site, f"tocsin/{drill.key}/", "raised", begin)
    if first is None:
        _tell(site, drill, say, "nobody was told")
        return Result(drill.name, None, "", 0, 0)
    say(f"{drill.name}: told after {first.at - began:.1f} s ({first.id})")
    incident = first.id.rpartition("/")[0]  # the end of an earlier one may be told as late as this
    over = await _notice(site, f"{incident}/", "recovered", begin)
    if over:
        await asyncio.sleep(LEFT_TO_REPEAT)
    else:
        _tell(site, drill, say, "nobody was told that it is over")
    said = [each.state for each in site.notices() if each.id.rpartition("/")[0] == incident]
    return Result(drill.name, first.at - began, first.runbook, said.count("raised"), said.count("recovered"))


async def _notice(site: Site, start: str, state: str, begin: int) -> Notice | None:
    end = time.monotonic() + WITHIN
    while time.monotonic() < end:
        found = (each for each in site.notices()[begin:] if each.state == state and each.id.startswith(start))
        if first := next(found, None):
            return first
        await asyncio.sleep(0.1)
    return None


def _tell(site: Site, drill: Drill, say: Say, what: str) -> None:
    """Say what is known when it went wrong, for whoever mends it; the folder is gone afterwards."""
    say(f"{drill.name}: {what} within {WITHIN:.0f} s; seen: {[each.id for each in site.notices()]}")
    log = site.rooms["watch"].log
    print(log.read_text("utf-8", errors="replace")[-3000:], file=sys.stderr)
