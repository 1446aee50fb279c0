"""Whether other processes spend the same budget: each keeps to the whole of it, and together they exceed it."""

from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaConnectionError

from events.settings import KafkaSettings
from sinks import relocation

log = structlog.get_logger()


async def warn(kafka: KafkaSettings, target: str, shared: Sequence[str], here: Collection[str]) -> None:
    """Say so once, where targets of the connection are run by others, or this target by several."""

    async def members(name: str) -> int:
        try:
            return await relocation.members(kafka, name)
        except (GroupCoordinatorNotAvailableError, KafkaConnectionError):
            return 0  # it is a warning: what keeps the target from running says so itself

    if found := await others(target, shared, here, members):
        log.warning(
            "connection_shared_by_processes",
            target=target,
            also=sorted(found),
            meaning="each process keeps to the whole limit of the connection, so together they may exceed it",
            remedy="run its targets in one process, or give each process its part as `limits`",
        )


async def others(
    target: str, shared: Sequence[str], here: Collection[str], members: Callable[[str], Awaitable[int]]
) -> set[str]:
    """Return which targets of a connection are run elsewhere; the target itself where another worker has it too."""
    found = {name for name in shared if name not in here and await members(name)}
    # One of them is this process, or will be.
    return found | ({target} if await members(target) > 1 else set())
