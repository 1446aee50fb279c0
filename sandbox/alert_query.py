"""The list endpoint's query: which alerts, in which order, which page."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.datastructures import QueryParams

from sandbox.bodies import Json
from sandbox.quirks import Quirks
from sandbox.tenant import Tenant


class BadQuery(ValueError):
    """The API would refuse this query; `code` is the vendor's, where it is known."""

    def __init__(self, message: str, code: str = "VA300") -> None:
        super().__init__(message)
        self.code = code


def _inside(name: str, field: str) -> Callable[[Json], Any]:
    return lambda alert: (alert[name] or {}).get(field)


_FIELDS: dict[str, Callable[[Json], Any]] = {
    "entity_name": _inside("entity", "name"),
    "entity_uuid": _inside("entity", "uuid"),
    "status_uuid": _inside("status", "uuid"),
    "status_name": _inside("status", "name"),
    "type_category": _inside("alert_type", "category"),
    "type_value": _inside("alert_type", "value"),
    "rule_uuid": _inside("rule", "uuid"),
    "rule_name": _inside("rule", "name"),
    "urgency_display": _inside("urgency", "display"),
    "asset_uuid": lambda alert: alert["assets"],
} | {
    name: lambda alert, name=name: alert[name]
    for name in (
        *("uuid", "short_id", "community_uuid", "title", "source", "target", "detection_type"),
        *("custom_status_uuid", "verdict_uuid"),
    )
}
_SORTS: dict[str, Callable[[Json], Any]] = {
    "created_at": lambda alert: alert["created_at"],
    "updated_at": lambda alert: alert["updated_at"],
    "target": lambda alert: alert["target"] or "",
    "urgency": lambda alert: alert["urgency"]["current_value"],
    "status": lambda alert: alert["status"]["name"],
}


def select(tenant: Tenant, query: QueryParams, quirks: Quirks) -> tuple[list[Json], int]:
    """Return one page of alerts and how many there are in all; newest first unless `sort` and `direction` say else.

    Raises BadQuery.
    """
    limit, offset = _number(query, "limit", 20), _number(query, "offset", 0)
    if not 1 <= limit <= 100:  # noqa: PLR2004
        raise BadQuery("limit must be between 1 and 100", "VA301")
    found = list(_filtered(tenant, query, quirks))
    sort, direction = query.get("sort", "created_at"), query.get("direction", "desc")
    if sort not in _SORTS or direction not in {"asc", "desc"}:
        raise BadQuery(f"unknown sort or direction: {sort} {direction}")
    found.sort(key=_SORTS[sort], reverse=direction == "desc")
    return found[offset : offset + limit], len(found)


def _filtered(tenant: Tenant, query: QueryParams, quirks: Quirks) -> Iterable[Json]:
    alerts: Iterable[Json] = tenant.alerts.values()
    for key, text in query.multi_items():
        if not (parts := re.fullmatch(r"(match|nomatch|date|range)\[(\w+)\]", key)):
            continue
        verb, name = parts.groups()
        if len(query.getlist(key)) > 1:
            raise BadQuery(f"{key} occurs more than once")
        if verb in {"match", "nomatch"}:
            alerts = _matching(tenant, alerts, (verb, name), text.split(","), quirks)
        elif verb == "date":
            alerts = _dated(alerts, name, text, tenant.now())
        else:
            alerts = _ranged(alerts, name, text)
    lag = quirks.list_lag
    return (alert for alert in alerts if not lag or tenant.created[alert["uuid"]] + lag <= tenant.now())


def _matching(
    tenant: Tenant, alerts: Iterable[Json], key: tuple[str, str], values: list[str], quirks: Quirks
) -> Iterable[Json]:
    verb, name = key
    if verb == "match" and name == "uuid" and len(values) > 1:
        if quirks.batch_400:
            raise BadQuery("match[uuid] takes one value")
        if quirks.batch_ignored == "all":
            return alerts
        values = values[:1] if quirks.batch_ignored else values
    if name == "case_short_id":
        cases = (case for case in tenant.cases.values() if case["short_id"] in values)
        held = {uuid for case in cases for uuid in case["alerts_uuid"]}
        return (alert for alert in alerts if alert["uuid"] in held)
    if name not in _FIELDS:
        raise BadQuery(f"{verb}[{name}] is not simulated")
    field, wanted = _FIELDS[name], set(values)

    def matches(alert: Json) -> bool:
        value = field(alert)
        return not wanted.isdisjoint(value) if isinstance(value, list) else value in wanted

    return (alert for alert in alerts if matches(alert) == (verb == "match"))


def _dated(alerts: Iterable[Json], name: str, text: str, now: float) -> Iterable[Json]:
    if name not in {"created_at", "updated_at"}:
        raise BadQuery(f"date[{name}] is unknown")
    start, comma, end = text.partition(",")
    if not comma:
        raise BadQuery(f"date[{name}] needs start,end")
    after, before = _time(start, now, float("-inf")), _time(end, now, float("inf"))
    return (alert for alert in alerts if after <= alert[name] <= before)


def _ranged(alerts: Iterable[Json], name: str, text: str) -> Iterable[Json]:
    low, _, high = text.partition(",")
    if name not in {"urgency", "similar"} or not (low.isdecimal() and high.isdecimal()):
        raise BadQuery(f"range[{name}] needs low,high")
    value = _SORTS["urgency"] if name == "urgency" else lambda alert: alert["similar"]
    return (alert for alert in alerts if int(low) <= value(alert) <= int(high))


def _time(text: str, now: float, absent: float) -> float:
    if text in {"", "now"}:
        return now if text else absent
    if relative := re.fullmatch(r"-(\d{1,6})([smhdw])", text):
        seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[relative[2]]
        return now - timedelta(seconds=int(relative[1]) * seconds).total_seconds()
    try:
        # A `+` that was not escaped arrives as a space.
        time = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError as error:
        raise BadQuery(f"not a date: {text}") from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _number(query: QueryParams, name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit()) or len(text) > 9:  # noqa: PLR2004
        raise BadQuery(f"{name} must be a whole number")
    return int(text)
