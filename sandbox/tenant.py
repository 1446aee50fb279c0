"""A simulated Sekoia.io tenant: it keeps alerts and cases, and says what webhook body each change would cause."""

import random
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from sandbox import bodies, sample_alerts
from sandbox.bodies import Json

COMMUNITY = "5b1f6f0a-93d4-4c0e-8d52-1f0a7c3e9b24"
"""The community of a tenant that is not given one."""

_LIMIT = 500  # comments per alert, the vendor's own limit; entries of the history
# Which of an alert's times a status sets.
_TIMES = {"Acknowledged": "time_to_acknowledge", "Ongoing": "time_to_respond"}
_FINAL = {"Closed", "Rejected"}
_OTHER_TYPES = [
    ("playbook", "error"), ("connector", "error"), ("intake", "silent"), ("rule", "added"), ("rule", "deprecated"),
    ("rule", "rate-limited"), ("ioc-collection", "updated"), ("task", "created"),
]  # fmt: skip


class Tenant:
    """Alerts, comments and cases of one community; every method that changes something returns the webhook body.

    The same seed and the same calls give the same ids and texts; times come from `clock` (Unix seconds). Bodies hold
    the documented fields only, or with `rich` also those the vendor's live stream adds. No two bodies share an event
    time, so no two are equal. One in `odd_every` alerts has hostile content. `keep` bounds the alerts held: the oldest
    are forgotten, as if deleted. For one thread or event loop.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        community_uuid: str = COMMUNITY,
        rich: bool = False,
        clock: Callable[[], float] = time.time,
        odd_every: int = 12,
        keep: int | None = None,
    ) -> None:
        self.community_uuid = community_uuid
        self.rich = rich
        self.alerts: dict[str, Json] = {}
        self.created: dict[str, float] = {}
        self.cases: dict[str, Json] = {}
        self.communities: dict[str, Json] = {community_uuid: _community(community_uuid)}
        self._rng = random.Random(f"tenant {seed}")
        self._clock = clock
        self._odd_every = odd_every
        self._keep = keep
        self._last_event = 0
        self._short_ids: dict[str, str] = {}
        self.assets = {asset["uuid"]: asset for asset in map(self._draw_asset, range(8))}

    def alert(self, id_: str) -> Json | None:
        """Return an alert by uuid or short id, in the shape of the single GET with everything asked for."""
        return self.alerts.get(self._short_ids.get(id_, id_))

    def now(self) -> float:
        """Return the tenant's time in Unix seconds."""
        return self._clock()

    def create_alert(self, *, oddity: str | None = None, **overrides: Any) -> Json:
        """Raise an alert; `oddity` names hostile content (see sample_alerts.ODDITIES), overrides replace fields.

        An override for a field that is an object is merged into it; `urgency` may be a number.
        """
        if isinstance(overrides.get("urgency"), int):
            overrides["urgency"] = sample_alerts.urgency(overrides["urgency"])
        now = self.now()
        alert = sample_alerts.draw_alert(
            self._rng, community=self.community_uuid, now=int(now), assets=list(self.assets)
        )
        if oddity is None and self._odd_every and self._rng.randrange(self._odd_every) == 0:
            oddity = self._rng.choice(sorted(sample_alerts.ODDITIES))
        for name, value in ((sample_alerts.ODDITIES[oddity] if oddity else {}) | overrides).items():
            old = alert.get(name)
            alert[name] = old | value if isinstance(old, dict) and isinstance(value, dict) else value
        alert |= {"comments": [], "history": [], "countermeasures": []}
        self._note(alert, "alert", {"status": alert["status"]["name"], "previous_status": None})
        self._store(alert, now)
        return self._alert_event("created", alert)

    def update_status(self, uuid: str, name: str) -> Json:
        """Set an alert's status; a name that is not the vendor's becomes a custom status of the stage `In progress`.

        Raises KeyError when the alert is unknown, as do the other changes.
        """
        alert = self.alerts[uuid]
        before = alert["status"]["name"]
        alert["status"] = sample_alerts.status(name if name in sample_alerts.STATUSES else "Ongoing")
        alert["custom_status"] = _custom_status(name)
        alert["custom_status_uuid"] = sample_alerts.status(name)["uuid"]
        self._touch(alert, "alert", {"status": name, "previous_status": before})
        timer = "time_to_resolve" if name in _FINAL else _TIMES.get(name)
        if timer:
            alert[timer] = alert["updated_at"] - alert["created_at"]
        return self._alert_event("updated", alert, status=alert["status"]["uuid"], status_name=name)

    def add_similar(self, uuid: str, n: int = 1) -> Json:
        """Let `n` more events join an alert."""
        alert = self.alerts[uuid]
        alert["similar"] += n
        alert["last_seen_at"] = bodies.isoformat(int(self.now() * 1_000_000))
        self._touch(alert)
        return self._alert_event("updated", alert, similar=alert["similar"])

    def change_urgency(self, uuid: str, value: int) -> Json:
        """Set an alert's urgency, 0 to 100."""
        alert = self.alerts[uuid]
        before = alert["urgency"]["current_value"]
        alert["urgency"] = sample_alerts.urgency(value, alert["urgency"]["severity"])
        self._touch(alert, "urgency", {"previous_value": before, "value": value})
        return self._alert_event("updated", alert, dynamic_urgency_value=value)

    def comment(self, uuid: str, text: str | None = None, *, author: str | None = None) -> Json:
        """Write a comment under an alert; without a text, one an analyst might write."""
        alert = self.alerts[uuid]
        text = sample_alerts.draw_comment(self._rng) if text is None else text
        comment = {"uuid": self._uuid(), "content": text, "author": author or f"user:{_ANALYST}",
                   "date": int(self.now()), "created_by": _ANALYST, "created_by_type": "user",
                   "unseen": True}  # fmt: skip
        alert["comments"] = [comment, *alert["comments"][: _LIMIT - 1]]
        self._touch(alert, "comment", {"uuid": comment["uuid"], "status": "created", "content": text})
        return self._event("alert-comment", "created", bodies.comment_attributes(alert, comment, rich=self.rich))

    def delete(self, uuid: str) -> Json:
        """Delete an alert: the API no longer knows it."""
        alert = self.alerts[uuid]
        body = self._alert_event("deleted", alert)
        self._forget(uuid)
        return body

    def create_case(self, *alert_uuids: str, title: str = "Incident under investigation") -> Json:
        """Open a case that holds the given alerts."""
        created_at = bodies.isoformat(int(self.now() * 1_000_000)).removesuffix("+00:00")
        case: Json = {"uuid": self._uuid(), "short_id": sample_alerts.draw_short_id(self._rng, "CA"), "title": title,
                      "manual": True, "priority": self._rng.choice(["low", "medium", "high"]), "status": "opened",
                      "custom_priority_uuid": self._uuid(), "description": "", "tags": [], "created_at": created_at,
                      "community_uuid": self.community_uuid, "alerts_uuid": list(alert_uuids)}  # fmt: skip
        self.cases[case["uuid"]] = case
        if self._keep and len(self.cases) > self._keep:
            del self.cases[next(iter(self.cases))]
        return self._event("case", "created", bodies.case_attributes(case, rich=self.rich))

    def update_case(self, uuid: str, **changes: Any) -> Json:
        """Change fields of a case."""
        self.cases[uuid] |= changes
        return self._case_event("updated", uuid, changes)

    def move_alerts(self, case_uuid: str, *, added: tuple[str, ...] = (), removed: tuple[str, ...] = ()) -> Json:
        """Put alerts into a case or take them out."""
        case = self.cases[case_uuid]
        case["alerts_uuid"] = [one for one in case["alerts_uuid"] if one not in removed] + list(added)
        changes = {"added_alerts_uuid": list(added), "deleted_alerts_uuid": list(removed)}
        return self._case_event("alerts-updated", case_uuid, changes)

    def content_proposal(self) -> Json:
        """Announce a threat report; of its attributes nothing but the type is documented."""
        return self._event("content-proposal", "created", {"uuid": self._uuid()})

    def unknown_type(self) -> Json:
        """Announce something whose body is not documented: a playbook's error, a silent intake, a rule."""
        kind, action = self._rng.choice(_OTHER_TYPES)
        return self._event(kind, action, {"uuid": self._uuid()} if self._rng.random() < 0.5 else {})  # noqa: PLR2004

    def without_event_time(self) -> Json:
        """Announce something with no event time: two of these are two events, however equal."""
        kind, action = self._rng.choice(_OTHER_TYPES)
        return {"type": kind, "action": action, "attributes": {"uuid": self._uuid()}}

    def _store(self, alert: Json, now: float) -> None:
        uuid = alert["uuid"]
        self.alerts[uuid] = alert
        self.created[uuid] = now
        self._short_ids[alert["short_id"]] = uuid
        if self._keep and len(self.alerts) > self._keep:
            self._forget(next(iter(self.alerts)))

    def _forget(self, uuid: str) -> None:
        del self._short_ids[self.alerts.pop(uuid)["short_id"]], self.created[uuid]

    def _touch(self, alert: Json, entry_type: str | None = None, entry: Json | None = None) -> None:
        alert |= {"updated_at": int(self.now()), "updated_by": _ANALYST, "updated_by_type": "user"}
        if entry_type:
            self._note(alert, entry_type, entry or {})

    def _note(self, alert: Json, entry_type: str, entry: Json) -> None:
        entry = {"uuid": self._uuid(), "created_at": alert["updated_at"], "created_by": alert["updated_by"],
                 "created_by_type": alert["updated_by_type"], "entry_type": entry_type, entry_type: entry,
                 "history_comments": []}  # fmt: skip
        alert["history"] = [entry, *alert["history"][: _LIMIT - 1]]

    def _alert_event(self, action: str, alert: Json, **updated: Any) -> Json:
        if self.rich and action == "created":
            return self._event("alert", action, bodies.rich_alert_attributes(alert))
        attributes = bodies.alert_attributes(alert)
        if self.rich and updated:
            attributes["updated"] = updated
        return self._event("alert", action, attributes)

    def _case_event(self, action: str, uuid: str, changes: Json) -> Json:
        attributes = {"uuid": uuid, "short_id": self.cases[uuid]["short_id"]}
        return self._event("case", action, attributes | ({"updated": changes} if self.rich else {}))

    def _event(self, kind: str, action: str, attributes: Json) -> Json:
        self._last_event = max(int(self.now() * 1_000_000), self._last_event + 1)
        # Drawn in both forms, so that `rich` does not change what a seed gives.
        event = UUID(self._uuid())
        return bodies.body(
            kind,
            action,
            attributes,
            at=self._last_event,
            community=self.community_uuid,
            event=event if self.rich else None,
        )

    def _uuid(self) -> str:
        return sample_alerts.draw_uuid(self._rng)

    def _draw_asset(self, number: int) -> Json:
        name = f"FIN-WS-{40 + number:03d}" if number else "møller-pc"
        return {"uuid": self._uuid(), "name": name, "type": "host", "criticality": 10 * number,
                "community_uuid": self.community_uuid, "description": "", "tags": []}  # fmt: skip


_ANALYST = "7d0c2f51-3a64-4f0b-9a1e-2c5b8e7d6f40"


def _custom_status(name: str) -> Json:
    stage = "Closed" if name in _FINAL else "Open" if name == "Pending" else "In progress"
    level = {"Open": 1, "In progress": 2, "Closed": 3}[stage]
    return {"label": name, "description": "", "level": level, "stage": stage}


def _community(uuid: str) -> Json:
    return {"uuid": uuid, "name": "Northwind Bank, Zürich", "description": "Simulated community", "is_parent": False,
            "parent_community_uuid": None, "subcommunities": []}  # fmt: skip
