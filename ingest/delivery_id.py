"""Names of deliveries: random, drawn many at a time because each draw is a system call."""

import os
from collections.abc import Iterator

SIZE = 16
"""Bytes of a name."""

_AT_ONCE = 256


def delivery_ids() -> Iterator[str]:
    """Yield names without end, as hexadecimal digits."""
    while True:
        drawn = os.urandom(SIZE * _AT_ONCE).hex()
        for start in range(0, len(drawn), 2 * SIZE):
            yield drawn[start : start + 2 * SIZE]
