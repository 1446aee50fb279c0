"""Logic with three values: yes, no, and not known yet (Kleene's)."""

from collections.abc import Callable, Sequence

from sinks.facts import Facts

Verdict = bool | None
"""True, False, or None: the field is part of the alert, and the alert has not been fetched."""

Condition = Callable[[Facts], Verdict]


def every(conditions: Sequence[Condition]) -> Condition:
    """Hold when all do: no beats not known, not known beats yes; none at all is yes."""
    if len(conditions) == 1:
        return conditions[0]

    def check(facts: Facts) -> Verdict:
        verdict: Verdict = True
        for condition in conditions:
            answer = condition(facts)
            if answer is False:
                return False
            if answer is None:
                verdict = None
        return verdict

    return check


def some(conditions: Sequence[Condition]) -> Condition:
    """Hold when one does: yes beats not known, not known beats no."""

    def check(facts: Facts) -> Verdict:
        verdict: Verdict = False
        for condition in conditions:
            answer = condition(facts)
            if answer is True:
                return True
            if answer is None:
                verdict = None
        return verdict

    return check


def negate(condition: Condition) -> Condition:
    """Hold when the condition does not; what is not known stays so."""

    def check(facts: Facts) -> Verdict:
        answer = condition(facts)
        return None if answer is None else not answer

    return check
