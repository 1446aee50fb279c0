"""How long the rules take for one event: 100 rules of every kind, compiled once."""

import argparse
import time
from datetime import UTC, datetime

from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sandbox.tenant import Tenant
from sinks.destinations.log import LogSettings
from sinks.memory import Memory
from sinks.rules import Rule, Rules, Target

TARGET, ROUNDS, EXPRESSED = "screen", 15, 10
KINDS = (
    {"type": "alert", "urgency": ">= {n}"},
    {"entity": "*site {n}*", "action": "created"},
    {"rule": ["*powershell {n}*", "*mimikatz {n}*"]},
    {"source": "10.{n}.0.0/16"},
    {"any": [{"category": "malicious-{n}"}, {"all": [{"status": "s{n}"}, {"not": {"target": "host-{n}*"}}]}]},
)


EXPRESSIONS = ("urgency > {n}.0", "entity.exists(one, one.contains('site {n}'))")

SETTINGS: dict[str, object] = {"min_interval": "15m", "mute": {"days": "sun"}, "digest": "1h", "stop": False}


def rules(count: int, expressions: int = 0) -> Rules:
    """Make rules of every kind, each a little different; one in ten waits, keeps quiet and collects."""
    made = [
        Rule.model_validate(
            {"name": f"r{n}", "match": _filled(KINDS[n % len(KINDS)], n), "notify": TARGET}
            | (SETTINGS if n % 10 == 0 else {})
        )
        for n in range(count)
    ]
    made += [
        Rule.model_validate({"name": f"i{n}", "match": {"if": _filled(EXPRESSIONS[n % 2], n)}, "notify": TARGET})
        for n in range(expressions)
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
    drawn = events(options.events)
    plain, expressions = (_best(rules(options.rules, count), drawn) for count in (0, EXPRESSED))
    each = (expressions - plain) / EXPRESSED
    print(f"rules={options.rules} events={options.events} if_us_per_rule={each:.1f} rules_us_per_event={plain:.1f}")


def _best(compiled: Rules, drawn: list[EnrichedEvent]) -> float:
    """Return the microseconds of processor time an event takes in the best of all rounds; a busy machine says less."""
    memory = Memory()
    for number, event in enumerate(drawn):
        memory.tell(str(number % 500).encode(), ("r0", "r10"), event.received_at, 3)
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.process_time()
        for number, event in enumerate(drawn):
            compiled.decide(event, TARGET, memory.of(b"%d" % (number % 500)))
        best = min(best, time.process_time() - begin)
    return best / len(drawn) * 1e6


if __name__ == "__main__":
    main()
