"""`tocsin doctor`: look at everything the pipeline needs, and say what to do about what is not well."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict

from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from events.errors import NotReady
from ops import (
    doctor_hooks,
    doctor_kafka,
    doctor_letters,
    doctor_machine,
    doctor_sekoia,
    doctor_settings,
    doctor_targets,
    doctor_topics,
    settings_mistakes,
)
from ops.findings import Asked, Family, Finding, skipped, split

FAMILIES: Mapping[str, Family] = {
    "settings": doctor_settings.look,
    "kafka": doctor_kafka.look,
    "topics": doctor_topics.look,
    "letters": doctor_letters.look,
    "sekoia": doctor_sekoia.look,
    "hooks": doctor_hooks.look,
    "targets": doctor_targets.look,
    "machine": doctor_machine.look,
}
"""In the order in which a set-up is mended."""

_SIGNS = {
    "well": ("ok  ", "green"),
    "warning": ("mind", "yellow"),
    "failed": ("FAIL", "bold red"),
    "skipped": ("-   ", "dim"),
}


def run(asked: Asked, *, as_json: bool) -> int:
    """Look, print, and return 1 when something failed."""
    findings = asyncio.run(examine(asked))
    if as_json:
        print(json.dumps([asdict(each) for each in findings], indent=2))
    else:
        show(findings)
    return 1 if any(each.state == "failed" for each in findings) else 0


async def examine(asked: Asked, families: Mapping[str, Family] = FAMILIES) -> list[Finding]:
    """Return what every family found; one that cannot look further says why and holds no other up."""
    findings: list[Finding] = []
    for name, family in families.items():
        try:
            async for finding in family(asked):
                findings.append(finding)  # noqa: PERF401 - what was found before it ends counts
        except ValidationError as error:
            # The first family has told it, with what to do: here it is only why nothing could be looked at.
            findings.append(skipped(name, f"not looked at: {settings_mistakes.sentence(error)}"))
        except NotReady as error:
            findings.append(split(name, str(error), "correct what is named, then run `tocsin doctor` again."))
    return findings


def show(findings: list[Finding]) -> None:
    """Print a line for each check, its advice under it, and the sum."""
    console = Console(highlight=False, soft_wrap=True)
    for each in findings:
        sign, style = _SIGNS[each.state]
        console.print(Text(f"{sign}  ", style).append(f"{each.check}: ", "bold").append(each.found, "default"))
        if each.advice:
            console.print(Text(f"      -> {each.advice}"))
    count = Counter(each.state for each in findings)
    console.print(f"\nchecks={len(findings)} failed={count['failed']} warnings={count['warning']}", markup=False)
