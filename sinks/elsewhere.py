"""Whether other processes spend the budget of a fallback target, which here would be spent beyond their parts."""

from collections.abc import Awaitable, Callable, Sequence

import structlog
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaConnectionError

from events.settings import KafkaSettings
from sinks import relocation

log = structlog.get_logger()


async def warn(kafka: KafkaSettings, target: str, shared: Sequence[str]) -> None:
    """Say so once, where none of the targets of a fallback's connection runs in this process, and one does elsewhere."""

    async def members(name: str) -> int:
        try:
            return await relocation.members(kafka, name)
        except (GroupCoordinatorNotAvailableError, KafkaConnectionError):
            return 0  # it is a warning: what keeps the target from running says so itself

    if found := await running(shared, members):
        log.warning(
            "fallback_shared_by_processes",
            target=target,
            also=found,
            meaning="what is told by fallback comes on top of what the process of these targets posts",
            remedy="run them in one process with those they stand in for",
        )


async def running(shared: Sequence[str], members: Callable[[str], Awaitable[int]]) -> list[str]:
    """Return which of these targets have a worker."""
    return [name for name in shared if await members(name)]
