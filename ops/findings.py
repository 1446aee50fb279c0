"""What the doctor finds: one line per check, and for what is not well what to do."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["well", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Finding:
    """One check: what was found and, unless it is well, what to do."""

    check: str
    state: State
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Asked:
    """What the person asked the doctor to do beyond looking."""

    send: bool = False
    """Whether a marked test message goes to every target, and a test event to the hook."""
    url: str = ""
    """The address under which the world reaches ingest."""


Family = Callable[[Asked], AsyncIterator[Finding]]
"""The checks of one subject, in the order in which one depends on another."""


def well(check: str, found: str) -> Finding:
    """Return what needs nothing done."""
    return Finding(check, "well", found)


def failed(check: str, found: str, advice: str) -> Finding:
    """Return what keeps the pipeline from working, or from keeping its promises."""
    return Finding(check, "failed", found, advice)


def warning(check: str, found: str, advice: str) -> Finding:
    """Return what works and should be better."""
    return Finding(check, "warning", found, advice)


def skipped(check: str, why: str, advice: str = "") -> Finding:
    """Return what could not be looked at, or was not asked for."""
    return Finding(check, "skipped", why, advice)


def split(check: str, sentence: str, otherwise: str) -> Finding:
    """Make a failed check of a sentence written `what is wrong: what to do`; `otherwise` where it says nothing to do."""
    found, _, advice = sentence.partition(": ")
    return failed(check, found, advice or otherwise)
