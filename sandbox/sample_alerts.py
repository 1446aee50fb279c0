"""Alerts as the Alert API would show them, drawn from sample detections; some would break careless code."""

import json
import random
import uuid
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

Json = dict[str, Any]

# The vendor's default statuses have fixed ids (facts: automation-library, update_alert_status.py).
STATUSES = {
    "Pending": ("2efc4930-1442-4abb-acf2-58ba219a4fd0", "Nobody has looked at the alert yet"),
    "Acknowledged": ("8f206505-af6d-433e-93f4-775d46dc7d0f", "The alert was checked by an operator"),
    "Ongoing": ("1f2f88d5-ff5b-48bf-bbbc-00c2fff82d9f", "Somebody works on the alert"),
    "Rejected": ("4f68da89-38e0-4703-a6ab-652f02bdf24e", "The alert was a false positive"),
    "Closed": ("1738b1c1-767d-489e-bada-19176621a007", "The alert was dealt with"),
}

ODDITIES: dict[str, Json] = {
    "markdown": {"title": "**Bold** _claim_ [Open the alert](https://evil.example/login) `x` ~~y~~\n# Heading\n- item"},
    "script": {"title": "<script>alert(1)</script><img src=x onerror=alert(2)>", "details": "</textarea>{{7*7}}${7*7}"},
    "mentions": {"title": "<at>Everyone</at> @channel @here @all <!channel> please click"},
    "huge": {"details": "A line of evidence — évidence № 7 ✔\n" * 2400},
    "emoji": {"title": "🚨🔥 Ransomware 👩‍👩‍👧‍👦 🇫🇷 \N{ZERO WIDTH SPACE}détecté", "details": "🧨" * 900},
    "rtl": {
        "title": "invoice_\N{RIGHT-TO-LEFT OVERRIDE}fdp.exe تنبيه أمني",
        "details": "\N{RIGHT-TO-LEFT ISOLATE}שלום",
    },
    "nulls": {"source": None, "target": None, "details": "", "first_seen_at": None, "last_seen_at": None, "ttps": []},
    "sparse": {"alert_type": None, "entity": None, "assets": None, "kill_chain_short_id": None, "detection_type": None},
    "control": {"title": "Bell \a null-ish \x01 tab \t newline \r\n end", "target": "HOST\\NAME (10.0.0.1)|pipe"},
    "long_title": {"title": "An alert whose title does not end " * 200},
}
"""What an odd alert has instead of the usual, by name."""


@cache
def _detections() -> Json:
    loaded: Json = json.loads(resources.files("sandbox").joinpath("detections.json").read_text("utf-8"))
    return loaded


def draw_uuid(rng: random.Random) -> str:
    """Draw a random (version 4) UUID."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def draw_short_id(rng: random.Random, prefix: str) -> str:
    """Draw an id a person reads, such as `ALq7Zt3Kx9Pd`."""
    alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
    return prefix + "".join(rng.choices(alphabet, k=10))


def draw_comment(rng: random.Random) -> str:
    """Draw what an analyst might write."""
    text: str = rng.choice(_detections()["comments"])
    return text


def status(name: str) -> Json:
    """Return a status object; a name that is not the vendor's own gets an id made from it."""
    known = STATUSES.get(name, (str(uuid.uuid5(uuid.NAMESPACE_OID, name)), "A status this community defined"))
    return {"uuid": known[0], "name": name, "description": known[1]}


def urgency(value: int, severity: int | None = None) -> Json:
    """Return an urgency object; the words are those of the API's schema, five steps of 20."""
    display = ("Low", "Moderate", "High", "Major", "Urgent")[min(value // 20, 4)]
    severity = value if severity is None else severity
    criticity = max(0, min(100, 2 * value - severity)) if severity != value else 0
    return {"current_value": value, "value": value, "severity": severity, "criticity": criticity, "display": display}


def draw_alert(rng: random.Random, *, community: str, now: int, assets: list[str]) -> Json:
    """Draw an alert created at `now` (Unix seconds), in the shape of the single GET."""
    pool = _detections()
    rule = rng.choice(pool["rules"])
    words = {name: rng.choice(pool[f"{name}s"]) for name in ("user", "host")}
    words |= {name: rng.choice(pool[name]) for name in ("inside", "outside")}
    source, target = (words[rule[end]] if rule[end] else None for end in ("source", "target"))
    entity = rng.choice(pool["entities"])
    first_seen = now - rng.randint(5, 600)
    return {
        "uuid": draw_uuid(rng),
        "short_id": draw_short_id(rng, "AL"),
        "community_uuid": community,
        "title": rule["name"] if rng.random() < 0.6 else f"{rule['name']} on {words['host']}",  # noqa: PLR2004
        "details": rule["details"].format(**words | {"source": source or "?", "target": target or "?"}),
        **_by_the_application(now),
        "entity": {"uuid": _stable(entity), "name": entity},
        "urgency": urgency(rule["severity"] if rng.random() < 0.5 else rng.randint(0, 100), rule["severity"]),  # noqa: PLR2004
        "alert_type": {"category": rule["category"], "value": rule["value"]},
        "rule": _rule(rule),
        "detection_type": rule["type"] if rng.random() < 0.7 else None,  # noqa: PLR2004
        "source": source,
        "target": target,
        **_untouched(),
        "assets": rng.sample(assets, k=rng.randint(0, min(2, len(assets)))),
        "intake_uuids": [_stable("intake")],
        "ttps": [
            {"id": f"{rule['ttp'][0]}--{_stable(rule['ttp'][1])}", "type": rule["ttp"][0], "name": rule["ttp"][1]}
        ],
        "kill_chain_short_id": rng.choice([None, draw_short_id(rng, "KC")]),
        # The API writes both forms of UTC; clients must read both.
        "first_seen_at": _iso(first_seen, rng.random() < 0.5),  # noqa: PLR2004
        "last_seen_at": _iso(now, rng.random() < 0.5),  # noqa: PLR2004
        "time_to_ingest": rng.randint(0, 9),
        "time_to_detect": now - first_seen,
    }


def _by_the_application(now: int) -> Json:
    """Name the detection engine as who made the alert and changed it last."""
    by = {"at": now, "by": _stable("application"), "by_type": "application"}
    return {f"{verb}_{what}": value for verb in ("created", "updated") for what, value in by.items()}


def _untouched() -> Json:
    """Return what an alert has that nobody has worked on yet."""
    nothing = (
        *("custom_status_uuid", "custom_status", "verdict_uuid", "verdict", "similarity_strategy"),
        *("time_to_acknowledge", "time_to_respond", "time_to_resolve"),
    )
    return {
        **dict.fromkeys(nothing),
        "status": status("Pending"),
        "similar": 0,
        "is_incident": False,
        "adversaries": [],
        "stix": {},
        "event_uuids": [],
    }


def _rule(rule: Json) -> Json:
    pattern = f"detection:\n  selection:\n    rule.label: '{rule['name']}'\n  condition: selection"
    return {
        "uuid": _stable(rule["name"]),
        "name": rule["name"],
        "description": rule["description"],
        "severity": rule["severity"],
        "type": rule["type"],
        "pattern": "" if rule["type"] == "cti" else pattern,
    }


@cache
def _stable(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"tocsin sandbox {name}"))


def _iso(seconds: int, zulu: bool) -> str:
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z") if zulu else text
