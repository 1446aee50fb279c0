"""Who is told what the pipeline says of itself: `operators:` of the rules file."""

from collections.abc import Collection, Sequence

from events.records import EnrichedEvent
from events.state_changes import about

RULE = "operators"
"""Stands in receipts where other events have the names of their rules."""


def addressed(event: EnrichedEvent, operators: Sequence[str], people: Collection[str]) -> tuple[str, ...]:
    """Return the targets that are told of a change: the operators, but of a target's trouble never that target alone.

    Where it is the only operator, everybody the file can tell hears of it, rather than nobody.
    """
    of = about(event)
    others = tuple(name for name in operators if name != of)
    return others or tuple(name for name in people if name != of)
