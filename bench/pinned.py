"""Run a command on one core: `python -m bench.pinned CORE -- command…`; where cores cannot be chosen it simply runs."""

import os
import sys


def pin(core: int) -> bool:
    """Keep this process, and what it starts, on a core; False where that cannot be."""
    if not hasattr(os, "sched_setaffinity") or core not in os.sched_getaffinity(0):
        return False
    os.sched_setaffinity(0, {core})
    return True


if __name__ == "__main__":
    core, dashes, *command = sys.argv[1:]
    # Asked anew: whoever started this is on a core of its own, and the kernel hands that down.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    pin(int(core))
    os.execvp(command[0], command)  # noqa: S606 - the whole point
