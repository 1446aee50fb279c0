"""Where in an event stands what a rule asks for."""

import re
from collections.abc import Callable
from typing import Any

from events.records import EnrichedEvent
from sinks.summary import obj, urgency

Texts = Callable[[EnrichedEvent], list[str]]
"""All texts a name may be matched with; none when the event does not tell."""

Number = Callable[[EnrichedEvent], float | None]

_FLINT = re.compile(r"\bFLINT\b")


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


def _own(*names: str, shown: str = "") -> Texts:
    """Read what a report, a catalog rule or another thing says of itself; the webhook's body for these is undocumented.

    What was looked up of a report comes first, then the event itself.
    """

    def read(event: EnrichedEvent) -> list[str]:
        told = [place.get(name) for place in _places(event) for name in names]
        if shown and isinstance(looked_up := event.names.get(shown), str):
            told.append(looked_up)
        return _texts(*(inner for value in told for inner in _names_in(value)))

    return read


def _places(event: EnrichedEvent) -> tuple[dict[str, Any], dict[str, Any]]:
    return obj(event.names, "report"), event.event.attributes


def _names_in(value: Any) -> list[Any]:
    """Return the texts of one value or many, each written plainly or as an object with a name."""
    many = value if isinstance(value, list) else [value]
    return [one.get("name") if isinstance(one, dict) else one for one in many]


def _pattern(event: EnrichedEvent) -> list[str]:
    return _texts(obj(event.alert, "rule").get("pattern"), event.event.attributes.get("pattern"))


def _tuple(read: Texts) -> Callable[[EnrichedEvent], tuple[str, ...]]:
    return lambda event: tuple(read(event))


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
    "intake": _own("intake_name", "intake_uuid", "intake"),
}
"""Stand in the event itself, whatever the Alert API says."""

REPORTED: dict[str, Texts] = {
    "name": _own("name", "title", shown="report"),
    "description": _own("description"),
    "tlp": _own("tlp"),
    "threat": _own("threats", "threat"),
    "sector": _own("sectors", "sector"),
    "country": _own("countries", "country"),
}
"""Stand in what is told of a report or another thing by itself; of a report, nothing need be told."""

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
    "pattern": _pattern,
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


def severity(event: EnrichedEvent) -> float | None:
    """Return how severe the detection rule is, 0 to 100: of the alert, or of a rule of the catalog."""
    said = (obj(event.alert, "rule").get("severity"), obj(event.alert, "urgency").get("severity"))
    return next(
        (number for one in (*said, event.event.attributes.get("severity")) if (number := _number(one)) is not None),
        None,
    )


def confidence(event: EnrichedEvent) -> float | None:
    """Return how sure a report is, 0 to 100."""
    return next((number for place in _places(event) if (number := _number(place.get("confidence"))) is not None), None)


def flint(event: EnrichedEvent) -> bool | None:
    """Say whether a report is one of the vendor's own (FLINT): by a field, else by its name, which begins so."""
    for place in _places(event):
        if isinstance(said := place.get("flint"), bool):
            return said
    if event.event.type != "content-proposal":
        return None
    names = REPORTED["name"](event)
    return any(_FLINT.search(name) for name in names) if names else None


def crashed(event: EnrichedEvent) -> bool | None:
    """Say whether a playbook that failed also stopped."""
    said = event.event.attributes.get("crashed")
    return said if isinstance(said, bool) else None


def level(event: EnrichedEvent) -> float | None:
    """Return the urgency, 0 to 100."""
    known = urgency(event)
    return float(known.value) if known else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


NUMBERS: dict[str, Number] = {
    "urgency": level,
    "asset_criticality": criticality,
    "similar": similar,
    "severity": severity,
    "confidence": confidence,
}

FLAGS: dict[str, Callable[[EnrichedEvent], bool | None]] = {"flint": flint, "crashed": crashed}

OF_REPORT = frozenset({*REPORTED, "confidence", "flint"})
"""Of a report they are not known unless the event happens to tell: nobody looks them up."""

READ: dict[str, Callable[[EnrichedEvent], Any]] = {
    **{name: _tuple(read) for name, read in (ALWAYS | REPORTED | ENRICHED).items()},
    **NUMBERS,
    **FLAGS,
}
"""Every field, by its name: a tuple of texts, a number, or a flag."""

MANY = frozenset(
    {"changed", "status", "entity", "rule", "asset", "community", "intake", "name", "threat", "sector", "country"}
)
"""Fields with several texts, such as name and uuid; the others have one."""
