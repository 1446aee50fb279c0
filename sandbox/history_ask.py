"""What a drill asks: single alerts by `tocsin why`, and everything by `tocsin reconcile`."""

import json
from collections.abc import Iterable

from sandbox.bodies import Json
from sandbox.history_records import TARGET
from sandbox.history_report import Drill
from sandbox.history_site import Site


async def ask(site: Site, drill: Drill, since: str) -> None:
    """Ask after single alerts, then after everything, and let the stream have again what it has lost."""
    for whole in drill.planted.whole[:3]:
        for name in (whole.uuid, whole.short_id):
            life = await _why(site, drill, name)
            if not (told := _told(life)) or {each["state"] for each in told} != {"delivered"}:
                drill.unexplained.append(f"why {name} does not say that the target was told")
    for event, alert in _first(drill.planted.enriched.items()):
        life = await _why(site, drill, alert)
        fates = {one["fate"] for each in life["events"] for one in each["arrivals"] if each["event_id"] == event}
        if fates != {"not found"}:
            drill.unexplained.append(f"why {alert} does not say that {event} was lost: {fates}")
    for event, alert in _first(drill.planted.receipts.items()):
        life = await _why(site, drill, alert)
        states = {each["state"] for each in _told(life, event)}
        if not all(state.startswith("no receipt") for state in states):
            drill.unexplained.append(f"why {alert} does not say that {event} has no receipt: {states}")
    said = await site.run("reconcile", "--since", since, "--mend", "--json", codes=(1,))
    drill.gaps = json.loads(said.out)["gaps"]


async def _why(site: Site, drill: Drill, name: str) -> Json:
    ran = await site.run("why", name, "--json")
    drill.why[name] = ran.seconds
    life: Json = json.loads(ran.out)
    return life


def _told(life: Json, event: str = "") -> list[Json]:
    events = [each for each in life["events"] if each["event_id"] == event or not event]
    return [told for each in events for told in each["targets"] if told["target"] == TARGET]


def _first(items: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(items)[:2]
