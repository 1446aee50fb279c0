"""What a tenant sends over time: alerts, what happens to them, and now and then the same thing twice."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from sandbox.bodies import Json
from sandbox.tenant import Tenant

_WEIGHTS = {
    "created": 34,
    "similar": 20,
    "status": 14,
    "comment": 9,
    "urgency": 5,
    "case": 4,
    "case-updated": 3,
    "content-proposal": 3,
    "unknown": 3,
    "timeless": 2,
    "deleted": 1,
}
_DUPLICATES = 0.05
_RECENT = 300


@dataclass(frozen=True)
class Delivery:
    """One body to POST; a duplicate repeats an earlier one byte for byte."""

    body: bytes
    kind: str
    duplicate: bool = False


class Traffic:
    """Draw what a tenant sends next; the first thing is always an alert.

    The same seed, tenant and number of calls give the same bodies but for their times. `duplicates` is the share of
    deliveries that repeat an earlier one.
    """

    def __init__(self, tenant: Tenant, seed: int = 1, *, duplicates: float = _DUPLICATES) -> None:
        self._tenant = tenant
        self._rng = random.Random(f"traffic {seed}")
        self._duplicates = duplicates
        self._alerts: deque[str] = deque(maxlen=_RECENT)
        self._cases: deque[str] = deque(maxlen=_RECENT)
        self._sent: deque[Delivery] = deque(maxlen=_RECENT)

    def next(self) -> Delivery:
        """Return the next delivery, changing the tenant as it says."""
        if self._sent and self._rng.random() < self._duplicates:
            earlier = self._rng.choice(self._sent)
            return Delivery(earlier.body, earlier.kind, duplicate=True)
        kind = self._rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        alert = self._rng.choice(self._alerts) if self._alerts else None
        if alert is None or alert not in self._tenant.alerts:
            kind = "created"
        body = self._change(kind, alert or "")
        delivery = Delivery(orjson.dumps(body), kind)
        self._sent.append(delivery)
        return delivery

    def _change(self, kind: str, alert: str) -> Json:
        tenant, rng = self._tenant, self._rng
        changes: dict[str, Callable[[], Json]] = {
            "created": self._create,
            "similar": lambda: tenant.add_similar(alert, rng.randint(1, 40)),
            "status": lambda: tenant.update_status(alert, self._next_status(alert)),
            "comment": lambda: tenant.comment(alert),
            "urgency": lambda: tenant.change_urgency(alert, rng.randint(0, 100)),
            "case": lambda: self._create_case(alert),
            "case-updated": lambda: self._update_case(alert),
            "content-proposal": tenant.content_proposal,
            "unknown": tenant.unknown_type,
            "timeless": tenant.without_event_time,
            "deleted": lambda: tenant.delete(alert),
        }
        return changes[kind]()

    def _create(self) -> Json:
        body = self._tenant.create_alert()
        self._alerts.append(body["attributes"]["uuid"])
        return body

    def _create_case(self, alert: str) -> Json:
        body = self._tenant.create_case(alert)
        self._cases.append(body["attributes"]["uuid"])
        return body

    def _update_case(self, alert: str) -> Json:
        case = self._rng.choice(self._cases) if self._cases else ""
        if case not in self._tenant.cases:
            return self._create_case(alert)
        if self._rng.random() < 0.5:  # noqa: PLR2004
            return self._tenant.move_alerts(case, added=(alert,))
        return self._tenant.update_case(case, tags=["reviewed"], description="Réunion à 14 h")

    def _next_status(self, alert: str) -> str:
        before = self._tenant.alerts[alert]["status"]["name"]
        after = {
            "Pending": ["Acknowledged", "Ongoing", "Rejected"],
            "Acknowledged": ["Ongoing", "Closed", "Waiting ☕"],
        }
        return self._rng.choice(after.get(before, ["Closed", "Rejected"]))
