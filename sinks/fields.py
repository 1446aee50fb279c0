"""Where in an event stands what a rule asks for."""

from collections.abc import Callable
from typing import Any

from events.records import EnrichedEvent
from sinks.summary import obj, urgency

Texts = Callable[[EnrichedEvent], list[str]]
"""All texts a name may be matched with; none when the event does not tell."""

Number = Callable[[EnrichedEvent], float | None]


def _texts(*values: Any) -> list[str]:
    return [value for value in values if isinstance(value, str) and value]


def _named(name: str) -> Texts:
    """Read an object of the alert by name or uuid; the vendor's live stream names it in the event itself."""

    def read(event: EnrichedEvent) -> list[str]:
        inner, given = obj(event.alert, name), event.event.attributes
        return _texts(inner.get("name"), inner.get("uuid"), given.get(f"{name}_name"), given.get(f"{name}_uuid"))

    return read


def _status(event: EnrichedEvent) -> list[str]:
    given = event.event.attributes
    custom, status = obj(event.alert, "custom_status"), obj(event.alert, "status")
    now = _texts(custom.get("label"), status.get("name"), status.get("uuid"))
    return now or _texts(given.get("status_name"), obj(given, "updated").get("status_name"), given.get("status_uuid"))


def _stage(event: EnrichedEvent) -> list[str]:
    return _texts(obj(event.alert, "custom_status").get("stage"))


def _alert_type(part: str) -> Texts:
    def read(event: EnrichedEvent) -> list[str]:
        return _texts(obj(event.alert, "alert_type").get(part), event.event.attributes.get(f"alert_type_{part}"))

    return read


def _of_alert(name: str) -> Texts:
    return lambda event: _texts((event.alert or {}).get(name))


def _community(event: EnrichedEvent) -> list[str]:
    return _texts(event.event.community_uuid, *_looked_up(event, "community"))


def _assets(event: EnrichedEvent) -> list[str]:
    listed = (event.alert or {}).get("assets") or event.event.attributes.get("assets_uuids")
    uuids = listed if isinstance(listed, list) else []
    return _texts(*uuids, *_looked_up(event, "assets"))


def _looked_up(event: EnrichedEvent, name: str) -> list[Any]:
    """Return the names a look-up found: of one thing, of several, or of several by uuid."""
    found = event.names.get(name)
    if isinstance(found, dict) and "name" not in found:
        found = list(found.values())
    return [
        one.get("name") if isinstance(one, dict) else one for one in (found if isinstance(found, list) else [found])
    ]


def _report(name: str) -> Texts:
    def read(event: EnrichedEvent) -> list[str]:
        value = obj(event.names, "report").get(name, event.event.attributes.get(name))
        return _texts(*(value if isinstance(value, list) else [value]))

    return read


def _changed(event: EnrichedEvent) -> list[str]:
    updated = event.event.attributes.get("updated")
    return [str(name) for name in updated] if isinstance(updated, dict) else []


ALWAYS: dict[str, Texts] = {
    "type": lambda event: [event.event.type],
    "action": lambda event: [event.event.action],
    "tenant": lambda event: [event.tenant],
    "hook": lambda event: [event.hook],
    "origin": lambda event: [event.origin],
    "changed": _changed,
    "tlp": _report("tlp"),
    "threat": _report("threats"),
    "sector": _report("sectors"),
    "country": _report("countries"),
}
"""Stand in the event itself, whatever the Alert API says."""

ENRICHED: dict[str, Texts] = {
    "status": _status,
    "stage": _stage,
    "entity": _named("entity"),
    "rule": _named("rule"),
    "alert_type": _alert_type("value"),
    "category": _alert_type("category"),
    "asset": _assets,
    "community": _community,
    "kill_chain": _of_alert("kill_chain_short_id"),
    "source": _of_alert("source"),
    "target": _of_alert("target"),
}
"""Need the alert, or a look-up, unless the event happens to tell."""

LOOKED_UP = frozenset({"asset", "community"})
"""The event tells uuids only; names come with the look-ups."""


def criticality(event: EnrichedEvent) -> float | None:
    """Return how critical the assets are, 0 to 100."""
    return _number(obj(event.alert, "urgency").get("criticity"))


def similar(event: EnrichedEvent) -> float | None:
    """Return how many events the alert groups."""
    told = _number(obj(event.event.attributes, "updated").get("similar"))
    return told if told is not None else _number((event.alert or {}).get("similar"))


def level(event: EnrichedEvent) -> float | None:
    """Return the urgency, 0 to 100."""
    known = urgency(event)
    return float(known.value) if known else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


NUMBERS: dict[str, Number] = {"urgency": level, "asset_criticality": criticality, "similar": similar}


class Facts(dict[str, Any]):
    """What rules ask of one event, each read once however many rules ask for it: tuples of texts, or a number."""

    def __init__(self, event: EnrichedEvent) -> None:
        super().__init__()
        self.event = event
        self.waiting = event.alert is None and event.enrichment.status in {"pending", "unavailable"}

    def __missing__(self, name: str) -> tuple[str, ...] | float | None:
        number = NUMBERS.get(name)
        value = number(self.event) if number else tuple((ALWAYS.get(name) or ENRICHED[name])(self.event))
        self[name] = value
        return value
