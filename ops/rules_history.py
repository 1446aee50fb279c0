"""`tocsin rules explain` and `tocsin rules try`: the rules asked about what is in Kafka; nothing is sent."""

import asyncio
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from aiokafka import ConsumerRecord

from events.codec import decode_enriched
from events.errors import MalformedRecord, NotReady
from events.headers import as_text
from events.records import EnrichedEvent
from events.settings import KafkaSettings
from ops import history
from ops import rules as files
from sinks.explain import explain_all
from sinks.fields import similar
from sinks.memory import Memory
from sinks.rules import Decision, Rules
from sinks.summary import summarise

SHOWN = 5
"""Events shown of those that would newly reach nobody."""

INTERRUPTED = 130


def explain(file: Path, event_id: str, since: str) -> None:
    """Find an event, and say for each of its revisions which rules match it and which targets they tell.

    Raises NotReady when it is not there.
    """
    rules, back = files.read(file), history.since(since)
    found = asyncio.run(_find(KafkaSettings(), event_id, back))
    if not found:
        raise NotReady(
            f"No event {event_id} in the enriched topic within {since}: look further back with --since, or mind that an "
            "id has its community in front, as in a receipt."
        )
    for record, event in found:
        title = summarise(event).title
        print(f"{record.topic}/{record.partition}/{record.offset}: {title}, revision {event.revision}, "
              f"{event.enrichment.status}")  # fmt: skip
        for explanation in explain_all(rules.rules, event):
            files.show(explanation)
        told = [name for name in rules.targets if rules.decide(event, name).notify]
        print(f"  tells: {', '.join(told) or 'nobody'}")


async def _find(kafka: KafkaSettings, event_id: str, back: timedelta) -> list[tuple[ConsumerRecord, EnrichedEvent]]:
    async with aclosing(history.enriched(kafka, back)) as records:
        wanted = [record async for record in records if as_text(record.headers).get("event-id") == event_id]
    found = [(record, decode_enriched(record.value)) for record in wanted]
    return sorted(found, key=lambda pair: pair[1].revision)


class Readers:
    """All targets of some rules, each with the memory it would have."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._memories = {name: Memory() for name in rules.targets}

    def hear(self, event: EnrichedEvent, key: bytes | None) -> dict[str, Decision]:
        """Decide for every target, and return what is told and what is kept quiet."""
        decisions = {}
        for name, memory in self._memories.items():
            decision = self.rules.decide(event, name, memory.of(key))
            if decision.notify:
                memory.tell(key, decision.rules, event.received_at, similar(event))
            if decision.notify or decision.muted:
                decisions[name] = decision
        return decisions


@dataclass
class Trial:
    """What rules would do with what came in, beside what others do."""

    readers: Readers
    against: Readers | None
    events: int = 0
    unreadable: int = 0
    nobody: int = 0
    newly: int = 0
    per_rule: Counter[str] = field(default_factory=Counter)
    per_target: Counter[str] = field(default_factory=Counter)
    muted: Counter[str] = field(default_factory=Counter)
    digested: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)

    def add(self, event: EnrichedEvent, key: bytes | None) -> None:
        """Decide on one event, for every target."""
        self.events += 1
        heard = self.readers.hear(event, key)
        others = self.against.hear(event, key) if self.against else {}
        told = {name: decision for name, decision in heard.items() if decision.notify}
        self.per_target.update(told.keys())
        self.muted.update(heard.keys() - told.keys())
        self.digested.update(name for name, decision in told.items() if decision.digest)
        self.per_rule.update({rule for decision in told.values() for rule in decision.rules})
        # A completion is told to nobody when the pending event was; that is no loss.
        if told or event.revision:
            return
        self.nobody += 1
        if any(decision.notify for decision in others.values()):
            self.newly += 1
            if self.newly <= SHOWN:
                self.shown.append(f"{event.event_id}: {summarise(event).title}")


def try_history(file: Path, against: Path | None, since: str) -> None:
    """Count what the file's rules would tell of what came in; with `against`, also what only that file tells.

    Raises NotReady.
    """
    back = history.since(since)
    readers, others = Readers(files.read(file)), Readers(files.read(against)) if against else None
    trial, stopped = Trial(readers, others), False
    try:
        asyncio.run(_try(KafkaSettings(), trial, back))
    except KeyboardInterrupt:
        stopped = True
    _report(trial, f"the last {since}{', stopped before the end' if stopped else ''}")
    if stopped:
        raise SystemExit(INTERRUPTED)


async def _try(kafka: KafkaSettings, trial: Trial, back: timedelta) -> None:
    async with aclosing(history.enriched(kafka, back)) as records:
        async for record in records:
            try:
                trial.add(decode_enriched(record.value), record.key)
            except MalformedRecord:
                trial.unreadable += 1


def _report(trial: Trial, span: str) -> None:
    print(f"{trial.events} records of {span}; nothing was sent")
    for rule in trial.readers.rules.rules:
        print(f"  rule    {rule.name}: {trial.per_rule[rule.name]}")
    for target in trial.readers.rules.targets:
        quiet = f", kept quiet {trial.muted[target]}" if trial.muted[target] else ""
        digests = f", of them in digests {trial.digested[target]}" if trial.digested[target] else ""
        print(f"  target  {target}: {trial.per_target[target]}{digests}{quiet}")
    if trial.unreadable:
        print(f"  unreadable: {trial.unreadable}")
    print(f"  nobody: {trial.nobody}")
    if trial.against:
        print(f"  newly nobody: {trial.newly}")
        for line in trial.shown:
            print(f"    {line}")
