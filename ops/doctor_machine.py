"""The doctor's look at this machine: room on the disks, folders that can be written, files that may be open."""

import os
import resource
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from inbox.settings import InboxSettings
from ingest.settings import IngestSettings
from ops import elsewhere
from ops.findings import Asked, Finding, failed, skipped, warning, well
from sinks.archive.settings import ArchiveSettings
from stream.settings import StreamSettings

GB = 1024**3

ROOM = GB
"""Bytes that a folder should have left for a day's work."""

OTHER_FILES = 256
"""What a worker of ingest has open besides its connections."""


async def look(_asked: Asked) -> AsyncIterator[Finding]:
    """Look at the folder of each room, whether or not it is there yet; where the rooms run elsewhere, so do their disks."""
    if elsewhere.ingest():
        yield skipped(
            "machine.disk", "the rooms run elsewhere (WATCH_ROOMS): the watch tells when a disk of theirs is low."
        )
        return
    ingest = IngestSettings()
    spool = ingest.spool_folder()
    wanted = max(ingest.spool_bytes - _size(spool), ROOM)
    archive = ArchiveSettings().folder()
    folders = [
        ("the spool", spool, wanted, "INGEST_SPOOL elsewhere, or INGEST_SPOOL_BYTES lower"),
        ("the stream", StreamSettings().data.absolute(), ROOM // 10, "STREAM_DATA elsewhere"),
        *([("the archive", archive, ROOM, "ARCHIVE_URL elsewhere")] if archive else []),
        ("the bell", InboxSettings().path().absolute().parent, ROOM, "INBOX_DATABASE elsewhere"),
    ]
    for name, folder, bytes_, setting in folders:
        yield _folder(name, folder, bytes_, setting)
    for finding in _open_files(ingest):
        yield finding


def _folder(name: str, folder: Path, wanted: int, setting: str) -> Finding:
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        return failed(
            "machine.disk", f"{name} cannot write to {there}", f"give this user the folder, or set {setting}."
        )
    free = shutil.disk_usage(there).free
    if free < wanted:
        return failed(
            "machine.disk",
            f"{name} has {free / GB:.1f} GB free in {there}, and may need {wanted / GB:.1f} GB",
            f"make room on that disk, or set {setting}.",
        )
    return well("machine.disk", f"{name} has {free / GB:.0f} GB free in {there}.")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*") if path.is_file()) if folder.is_dir() else 0


def _open_files(ingest: IngestSettings) -> Iterator[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # ingest raises its limit to this one by itself
    wanted = ingest.max_connections + OTHER_FILES
    if resource.RLIM_INFINITY != hard < wanted:
        yield warning(
            "machine.files",
            f"a process may open {hard:,} files, and ingest takes {ingest.max_connections:,} connections",
            f"set LimitNOFILE={wanted} (systemd) or `ulimit -n {wanted}`, or lower INGEST_MAX_CONNECTIONS.",
        )
