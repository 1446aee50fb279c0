"""Where accepted events go: the protocol a publisher keeps."""

from typing import Protocol

from ingest.accept import RawRecord


class NotPublished(Exception):
    """The event may not be in the topic; the message is one line for the sender."""


class Publisher(Protocol):
    """Make records durable."""

    async def publish(self, record: RawRecord) -> None:
        """Return once the record is durable.

        Raises NotPublished; the record may still arrive later.
        """
