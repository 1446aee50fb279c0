"""How long the rules take for one event: 100 rules of every kind, compiled once."""

import argparse
import time
from datetime import UTC, datetime

from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sandbox.tenant import Tenant
from sinks.destinations.log import LogSettings
from sinks.rules import Rule, Rules, Target

TARGET = "screen"
KINDS = (
    {"type": "alert", "urgency": ">= {n}"},
    {"entity": "*site {n}*", "action": "created"},
    {"rule": ["*powershell {n}*", "*mimikatz {n}*"]},
    {"source": "10.{n}.0.0/16"},
    {"any": [{"category": "malicious-{n}"}, {"all": [{"status": "s{n}"}, {"not": {"target": "host-{n}*"}}]}]},
)


def rules(count: int) -> Rules:
    """Make rules of every kind, each a little different."""
    made = [
        Rule.model_validate({"name": f"r{n}", "match": _filled(KINDS[n % len(KINDS)], n), "notify": TARGET})
        for n in range(count)
    ]
    return Rules(made, {TARGET: Target(TARGET, "log", LogSettings())}, "v")


def _filled(kind: object, number: int) -> object:
    if isinstance(kind, dict):
        return {name: _filled(value, number) for name, value in kind.items()}
    if isinstance(kind, list):
        return [_filled(value, number) for value in kind]
    return str(kind).replace("{n}", str(number % 100))


def events(count: int) -> list[EnrichedEvent]:
    """Draw complete alerts as the simulated tenant makes them."""
    tenant = Tenant(7)
    made = []
    for number in range(count):
        alert = tenant.alert(tenant.create_alert()["attributes"]["uuid"])
        posted = WebhookEvent(type="alert", action="created", attributes={"uuid": alert["uuid"]} if alert else {})
        made.append(
            EnrichedEvent(
                event_id=str(number),
                received_at=datetime.now(UTC),
                event=posted,
                alert=alert,
                enrichment=Enrichment(status="complete"),
            )
        )
    return made


def main() -> None:
    """Measure, and print the figures as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=int, default=100)
    parser.add_argument("--events", type=int, default=2_000)
    options = parser.parse_args()
    compiled, drawn = rules(options.rules), events(options.events)
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        for event in drawn:
            compiled.decide(event, TARGET)
        best = min(best, time.perf_counter() - begin)
    print(f"rules={options.rules} events={options.events} rules_us_per_event={best / len(drawn) * 1e6:.1f}")


if __name__ == "__main__":
    main()
