"""Deletes what a writer left behind when it ended before it could commit."""

from collections.abc import Iterable, Mapping

import structlog

from sinks.archive import layout
from sinks.archive.manifest import Manifest
from sinks.archive.storage import Folder, unfinished

RECENT = 16
"""Entries looked at; what a crash leaves bears the number of the very next claim."""

_log = structlog.get_logger()


def sweep(folder: Folder, topic: str, next_seqs: Mapping[int, int]) -> int:
    """Delete the unlisted files of the claimed partitions (partition to number of its next entry), return how many.

    Only a number that has been given to an entry is swept: nobody can list these files any more, however slow. A file
    with a number still to come may be a living writer's.
    """
    leftovers = [
        found for partition, seq in next_seqs.items() for found in _manifest_leftovers(folder, topic, partition, seq)
    ]
    listed: dict[tuple[int, int], frozenset[str]] = {}
    for path in folder.walk(layout.DATA):
        name = path.rpartition("/")[2]
        owner = _owner(unfinished(name) or name, topic, next_seqs)
        if owner is None:
            continue
        if owner not in listed:
            entry, _ = Manifest(folder, topic, owner[0]).read(owner[1])
            listed[owner] = frozenset(file.path for file in entry.files)
        if path not in listed[owner]:
            leftovers.append(path)
    for path in leftovers:
        folder.delete(path)
    if leftovers:
        _log.info("archive.swept", files=len(leftovers), first=leftovers[0])
    return len(leftovers)


def _owner(name: str, topic: str, next_seqs: Mapping[int, int]) -> tuple[int, int] | None:
    """Return partition and sequence number of a data file that is recent and can be listed no more."""
    for partition, next_seq in next_seqs.items():
        seq = layout.sequence(name, topic, partition)
        if seq is not None:
            return (partition, seq) if next_seq - RECENT <= seq < next_seq else None
    return None


def _manifest_leftovers(folder: Folder, topic: str, partition: int, next_seq: int) -> Iterable[str]:
    for path in folder.walk(layout.entries_folder(topic, partition)):
        wanted = unfinished(path.rpartition("/")[2])
        seq = layout.entry_sequence(wanted) if wanted else None
        if seq is not None and seq < next_seq:
            yield path
