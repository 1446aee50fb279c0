"""What to do next: tell one alone, fold it into the digest, post the digest, or wait. Pure: each call says what there is."""

from dataclasses import dataclass
from typing import Literal

from sinks.limits import Budget

MOST = 50_000
"""Events one digest may hold; each waits in memory, and in the topic, until its receipt is written."""

LATEST = 5.0
"""Seconds after which is looked again, whatever was reckoned."""

GATHER = 2.0
"""Seconds a digest of what is not urgent stays open at least: what comes together is told together."""

_SOON = {True: 10.0, False: 30.0}
"""Within how many seconds the budget must carry all that wait one by one (urgent, others); else they are folded."""

_ALONE = 0.4
"""How much of what is left single urgent ones may take: a digest of those that follow must find room."""

_KEPT = 0.25
"""How much of the whole is left to digests when others are told one by one."""

_AMPLE = 0.5
"""While more than this is left, urgent ones are told at once; then so that the rest lasts."""

Verb = Literal["alone", "head", "fold", "fold_head", "flush", "wait"]


@dataclass(frozen=True)
class Action:
    """What to do; `urgent` says from which part of the budget, `seconds` how long to wait at most."""

    verb: Verb
    urgent: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class View:
    """What there is to choose from."""

    waiting: int
    """Records in the window."""
    urgent: int
    """How many of them are urgent."""
    backlog: int = 0
    """Records in the topic that the window does not hold."""
    folded: int = 0
    """Events in the open digest."""
    folded_urgent: int = 0
    sealed: bool = False
    """The digest was tried already: nothing more goes into it."""
    blocked: bool = False
    """The digest holds earlier events of the alert whose turn is next."""
    opened_at: float = float("-inf")
    """When the open digest was begun."""
    flushed_at: float = float("-inf")
    """When the last digest was posted."""
    urgent_at: float = float("-inf")
    """When something urgent was posted last."""
    named: int = 10
    """How many urgent events a digest can name."""
    crowded: bool = False
    """Too much is finished above the first open record: that one must come to its end."""


def choose(view: View, budget: Budget, now: float) -> Action:
    """Say what is next; urgent ones first, and nothing is posted that the budget does not carry."""
    if view.crowded:
        return _make_room(view, budget, now)
    if view.urgent:
        return _urgent(view, budget, now)
    if view.folded:
        return _open(view, budget, now)
    if not view.waiting:
        return Action("wait", seconds=LATEST)
    outlook = budget.outlook(now, _SOON[False], urgent=False)
    if view.waiting + view.backlog <= outlook.posts - _KEPT * outlook.of:
        return _post("alone", budget, now, urgent=False)
    return Action("fold")


def _urgent(view: View, budget: Budget, now: float) -> Action:
    posts, outlook = view.urgent + view.blocked, budget.outlook(now, _SOON[True], urgent=True)
    if posts <= max(int(_ALONE * outlook.posts), 1) and now >= _next_urgent(view, budget, now):
        return _post("flush" if view.blocked else "alone", budget, now, urgent=True)
    if view.sealed or view.folded_urgent >= view.named or view.folded >= MOST:
        action = _post("flush", budget, now, urgent=True)
        # While nothing can be posted the digest grows: better one that names not all than a second one later.
        return Action("fold") if action.verb == "wait" and not view.sealed and view.folded < MOST else action
    return Action("fold")


def _next_urgent(view: View, budget: Budget, now: float) -> float:
    """Say from when the next urgent post may be made, so that what is left lasts."""
    outlook = budget.outlook(now, _SOON[True], urgent=True)
    return now if outlook.posts > _AMPLE * outlook.of else view.urgent_at + budget.pace(now, urgent=True) / 2


def _open(view: View, budget: Budget, now: float) -> Action:
    """Go on with an open digest; nothing urgent waits outside it."""
    urgent = view.folded_urgent > 0
    if view.sealed or view.folded_urgent >= view.named:
        due = now
    elif urgent:
        due = _next_urgent(view, budget, now)
    else:
        due = max(view.flushed_at + budget.pace(now, urgent=False), view.opened_at + GATHER)
    action = _post("flush", budget, now, urgent=urgent) if now >= due else _until(due - now)
    more = view.waiting and not view.sealed and view.folded < MOST
    return Action("fold") if action.verb == "wait" and more else action


def _make_room(view: View, budget: Budget, now: float) -> Action:
    """Bring the records at the head to their end, so that the base moves."""
    if budget.outlook(now, LATEST, urgent=False).posts >= view.waiting and not view.folded:
        return _post("head", budget, now, urgent=False)
    if view.waiting and not view.sealed and view.folded < MOST:
        return Action("fold_head")
    return _post("flush", budget, now, urgent=True)


def _post(verb: Verb, budget: Budget, now: float, *, urgent: bool) -> Action:
    seconds = budget.wait(now, urgent=urgent)
    return Action(verb, urgent=urgent) if seconds <= 0 else _until(seconds)


def _until(seconds: float) -> Action:
    return Action("wait", seconds=min(seconds, LATEST))
