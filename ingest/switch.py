"""The switch: whether the workers of this host write to the spool; one byte all of them see at once."""

import mmap
import os
from pathlib import Path

CLOSED = 0
"""Events go to Kafka."""

OPEN = 1
"""Events go to the spool."""

CLOSING = 2
"""The spool is nearly empty: new events wait a moment, so that it can be emptied under load."""


class Switch:
    """A byte of shared memory in a file; it outlives every process, and is set right by the spool when that opens."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it; raises OSError."""
        number = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(number).st_size == 0:
                os.pwrite(number, bytes([CLOSED]), 0)
            self._byte = mmap.mmap(number, 1)
        finally:
            os.close(number)

    @property
    def state(self) -> int:
        """CLOSED, OPEN or CLOSING."""
        return self._byte[0]

    @state.setter
    def state(self, state: int) -> None:
        self._byte[0] = state

    def close(self) -> None:
        """Let go of the memory."""
        self._byte.close()
