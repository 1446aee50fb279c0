"""Which targets share a budget: all of one connection, in this process."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Sequence

from pydantic import SecretStr

from sinks import shelf
from sinks.limits import Budget, Limit
from sinks.rules import Target


class Connections:
    """The budget of each connection; whoever asks second gets the same one."""

    def __init__(self, here: Collection[str] = ()) -> None:
        """Take the names of the targets this process runs."""
        self.here = frozenset(here)
        self._budgets: dict[str, Budget] = {}
        self._restored: set[str] = set()
        self._parts: dict[str, dict[str, float]] = {}
        self._part: dict[str, float] = {}
        self._restoring = asyncio.Lock()

    def budget(self, target: Target, own: tuple[Limit, ...]) -> Budget:
        """Return the budget of a target's connection; `own` is what its destination keeps to.

        Windows of the same length are one, the narrower of what the targets say.
        """
        key, limits = connection(target), own if target.limits is None else target.limits
        known = self._budgets.get(key)
        if known is None:
            known = self._budgets[key] = Budget(limits)
            known.share(0.0, self._part.get(key, 1.0), at_once=True)
        else:
            known.narrow(limits)
        return known

    def share(self, target: Target, shared: Sequence[str], owned: int, partitions: int, now: float) -> float:
        """Keep to this process's part of the connection's budget, and return it; other processes have the rest.

        Each of the `shared` targets has the same part, and of that each of its workers as much as it has of the partitions:
        so all processes know their own without asking each other, and together they have no more than the whole.
        """
        key = connection(target)
        parts = self._parts.setdefault(key, {})
        new = target.name not in parts
        # Without a partition there is nothing to tell but what an operator sends again.
        parts[target.name] = max(owned, 1) / max(partitions, 1)
        part = self._part[key] = min(sum(parts.values()) / max(len(shared), 1), 1.0)
        if key in self._budgets:
            # A target that has just started has counted what others posted before.
            self._budgets[key].share(now, part, at_once=new)
        return part

    async def restore(self, target: Target, ages: Callable[[float], Awaitable[list[float]]], now: float) -> None:
        """Count what an earlier process posted; `ages` says how long ago each post of some last seconds was made."""
        key = connection(target)
        budget = self._budgets[key]
        longest = max((limit.seconds for limit in budget.limits), default=0.0)
        async with self._restoring:
            if longest and key not in self._restored:
                budget.restore([now - age for age in await ages(longest)])
                self._restored.add(key)


def connection(target: Target) -> str:
    """Name the connection of a target: as the rules file does, else by its type and address, which is hashed."""
    if target.connection is not None:
        return f"named {target.connection}"
    said = [getattr(target.settings, name, None) for name in shelf.find(target.type).shares]
    if None in said:
        return f"target {target.name}"
    plain = [one.get_secret_value() if isinstance(one, SecretStr) else str(one) for one in said]
    return f"{target.type} {hashlib.sha256(chr(0).join(plain).encode()).hexdigest()}"


def sharing(target: Target, all_: Sequence[Target]) -> list[str]:
    """Name the targets of a target's connection, itself among them."""
    mine = connection(target)
    return [one.name for one in all_ if one.name == target.name or connection(one) == mine]
