"""`tocsin rules`: check the rules file, try it on samples, begin one."""

import asyncio
import glob
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from events.errors import NotReady
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from events.settings import KafkaSettings
from sinks import rules_file
from sinks.explain import Explanation, explain_all
from sinks.rules import Rules
from sinks.rules_remarks import looked_up, remarks
from sinks.rules_schema import schema as rules_schema
from sinks.rules_start import START
from sinks.rules_text import RulesText
from sinks.summary import summarise

_WORDS = {True: "yes", False: "no", None: "not known"}


def check(file: Path, *, ask_key: bool = False) -> None:
    """Read the rules file as the sinks do, and say what is odd in it; with `ask_key`, which look-ups the key may not do.

    Raises NotReady for a file that cannot be used, or a key that is not good.
    """
    rules = read(file)
    for remark in remarks(rules, RulesText(file.read_text("utf-8"), str(file))):
        print(f"note: {remark}")
    if ask_key and (kinds := looked_up(rules)):
        for said in asyncio.run(_refused(kinds)):
            print(f"note: {said}")
    print(f"{file}: {_count(rules.rules, 'rule')} for {_count(rules.targets, 'target')}, version {rules.version[:12]}")


async def _refused(kinds: set[str]) -> list[str]:
    from ops import rules_key
    from ops.share import share
    from stream.settings import SekoiaSettings

    settings = SekoiaSettings()
    async with share(settings, KafkaSettings()) as pace:
        return await rules_key.refused(settings, kinds, pace)


def try_samples(file: Path, samples: list[str]) -> None:
    """Say for each sample which rules match, and of those that do not, which condition fails.

    Raises NotReady for a sample that is no event.
    """
    rules = read(file)
    for path in _files(samples):
        event = _event(path)
        summary = summarise(event)
        print(f"{path}: {summary.title} ({summary.kind})")
        for explanation in explain_all(rules.rules, event):
            show(explanation)


def init(file: Path) -> None:
    """Write a commented rules file to begin with.

    Raises NotReady when there is one already.
    """
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(START)
    except FileExistsError:
        raise NotReady(f"{file} is there already; choose another name with --file.") from None
    except OSError as error:
        raise NotReady(f"{file} cannot be written ({error.strerror}).") from None
    print(f"{file} written; look at it, then run `tocsin rules check`.")


def schema() -> None:
    """Print the JSON Schema of the rules file, for your editor."""
    sys.stdout.write(orjson.dumps(rules_schema(), option=orjson.OPT_INDENT_2).decode() + "\n")


def read(file: Path) -> Rules:
    """Read a rules file as the sinks do.

    Raises NotReady.
    """
    if not file.exists():
        raise NotReady(f"There is no {file}; `tocsin rules init` writes one to begin with.")
    return rules_file.read(file, rules_file.environment())


def show(explanation: Explanation) -> None:
    """Print what one rule says of one event, and why."""
    said = [f"{one.condition} ({_WORDS[one.verdict]})" for one in explanation.reasons if one.verdict is not True]
    noted = f"  [{'; '.join(explanation.notes)}]" if explanation.notes else ""
    if explanation.notifies:
        although = f"  although {'; '.join(said)}" if said else ""
        whom = ", ".join(explanation.targets) or "nobody"
        print(f"  yes  {explanation.rule} -> {whom}{although}{noted}")
    else:
        print(f"  no   {explanation.rule}: {'; '.join([*explanation.notes, *said])}")


def _files(patterns: list[str]) -> Iterator[Path]:
    for pattern in patterns:
        # Shells that do not expand a pattern hand it on as it is.
        found = sorted(glob.glob(pattern)) or [pattern]  # noqa: PTH207
        yield from map(Path, found)


def _event(path: Path) -> EnrichedEvent:
    try:
        content = orjson.loads(path.read_bytes())
    except OSError as error:
        raise NotReady(f"{path} cannot be read ({error.strerror}).") from None
    except orjson.JSONDecodeError:
        raise NotReady(f"{path} is not JSON.") from None
    try:
        return _as_event(content)
    except (ValueError, TypeError):
        raise NotReady(f"{path} is neither an enriched record, nor a webhook body, nor an alert.") from None


def _as_event(content: dict[str, Any]) -> EnrichedEvent:
    if "event" in content:
        return EnrichedEvent.model_validate(content)
    now = datetime.now(UTC)
    if "type" in content and "action" in content:
        posted = WebhookEvent.model_validate(content)
        return EnrichedEvent(
            event_id="sample", received_at=now, event=posted, enrichment=Enrichment(status="pending", reason="a sample")
        )
    posted = WebhookEvent(type="alert", action="created", attributes={"uuid": content["uuid"]})
    return EnrichedEvent(
        event_id="sample", received_at=now, event=posted, alert=content, enrichment=Enrichment(status="complete")
    )


def _count(things: Any, noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"
