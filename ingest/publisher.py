"""Where accepted events go: the protocol a publisher keeps."""

import asyncio
from typing import Any, Protocol

from ingest.accept import RawRecord


class NotPublished(Exception):
    """The event may not be in the topic; the message is one line for the sender."""

    def __init__(self, reason: str, late: "asyncio.Future[Any] | None" = None) -> None:
        """Take the reason, and the acknowledgement that may still come."""
        super().__init__(reason)
        self.late = late


class Publisher(Protocol):
    """Make records durable."""

    async def publish(self, record: RawRecord) -> None:
        """Return once the record is durable.

        Raises NotPublished; the record may still arrive later.
        """
