"""The log file of a child process: bounded while it grows, and its last line."""

import contextlib
import os
import shutil
from pathlib import Path

LARGEST_LOG = 8 * 1024 * 1024
"""Bytes; one older log file of each process is kept."""


def rotate(path: Path) -> None:
    """Copy a log that has grown over LARGEST_LOG aside, over the one kept before, and empty it.

    Its writer appends and goes on; what it writes between the copy and the emptying is not kept.
    """
    with contextlib.suppress(OSError):  # a full disk must not stop what is logged
        if path.stat().st_size > LARGEST_LOG:
            shutil.copyfile(path, path.with_name(f"{path.name}.1"))
            os.truncate(path, 0)


def last_line(path: Path) -> str:
    """Return the last line a process wrote, or say that there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except FileNotFoundError:
        lines = []
    return lines[-1].removeprefix("tocsin: ") if lines else f"it wrote nothing to {path}"
