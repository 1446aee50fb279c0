"""Signals to a process and all it started, and their names."""

import contextlib
import os
import signal


def send_to_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process group; one that is gone already is none the worse for it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def name_of(number: int) -> str:
    """Return `SIGKILL` for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
