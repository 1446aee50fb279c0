"""Open questions about alerts: the most urgent first, each alert asked about once."""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import Any

CREATED_NOW, NOW, CREATED_LATER, LATER = range(4)
"""Ranks: an event that waits before one that went out already, and of either a new alert before a changed one."""

Future = asyncio.Future[Any]
Batch = dict[str, list[tuple[int, Future]]]
"""Alerts and who waits for each."""


@dataclass
class Questions:
    """Who waits for which alert, by rank."""

    _ranks: tuple[dict[str, Future], ...] = field(default_factory=lambda: ({}, {}, {}, {}))

    def __len__(self) -> int:
        return sum(map(len, self._ranks))

    def ask(self, uuid: str, rank: int) -> Future:
        """Return the answer to come; a question that is open already is joined."""
        future = self._ranks[rank].get(uuid)
        if future is None:
            future = self._ranks[rank][uuid] = asyncio.get_running_loop().create_future()
            future.add_done_callback(_retrieve)
        return future

    def asked(self, uuid: str, rank: int) -> bool:
        """Tell whether this question is open."""
        return uuid in self._ranks[rank]

    def before(self, rank: int) -> int:
        """Return how many questions are answered before a new one of this rank."""
        return sum(len(questions) for questions in self._ranks[: rank + 1])

    def take(self, count: int | None = None) -> Batch:
        """Remove the next `count` alerts, or all."""
        batch: Batch = {}
        for rank, questions in enumerate(self._ranks):
            for uuid in list(questions):
                if count is not None and len(batch) >= count and uuid not in batch:
                    if rank == LATER:
                        break
                    continue
                batch.setdefault(uuid, []).append((rank, questions.pop(uuid)))
        return batch

    def again(self, batch: Batch) -> None:
        """Put questions back that were not asked after all."""
        for uuid, waiting in batch.items():
            for rank, future in waiting:
                other = self._ranks[rank].setdefault(uuid, future)
                if other is not future:
                    other.add_done_callback(partial(_copy, waiting=future))


def answer(waiting: list[tuple[int, Future]], result: object) -> None:
    """Tell everybody who waits; an exception is raised where it is awaited."""
    for _, future in waiting:
        if not future.done():
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


def _copy(done: Future, waiting: Future) -> None:
    if waiting.done():
        return
    if error := done.exception():
        waiting.set_exception(error)
    else:
        waiting.set_result(done.result())


def _retrieve(future: Future) -> None:
    """Look at the outcome, so that an answer nobody waits for any more is no "exception never retrieved"."""
    if not future.cancelled():
        future.exception()
