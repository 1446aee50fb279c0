"""Deletes what a writer left behind when it ended before it could commit."""

from collections.abc import Iterable, Mapping
from itertools import islice

import structlog

from sinks.archive import layout
from sinks.archive.manifest import Manifest
from sinks.archive.storage import Store, unfinished

TAKEOVERS = 64
"""How far the sweep looks back: what a crash leaves bears the number of a claim, or of the gap before one."""

RECENT = 16
"""Entries looked at besides, for an archive of before takeovers were noted."""

_log = structlog.get_logger()


def sweep(folder: Store, topic: str, next_seqs: Mapping[int, int], data: str = layout.DATA) -> int:
    """Delete the unlisted files of the claimed partitions (partition to number of its next entry), return how many.

    Only a number that has been given to an entry is swept: nobody can list these files any more, however slow. A file
    with a number still to come may be a living writer's. A writer that was thought dead may have left a file under the
    number of the claim that took its partition, long after that claim has swept.
    """
    swept = {partition: _numbers(folder, topic, partition, seq) for partition, seq in next_seqs.items()}
    leftovers = [
        found for partition, seq in next_seqs.items() for found in _manifest_leftovers(folder, topic, partition, seq)
    ]
    listed: dict[tuple[int, int], frozenset[str]] = {}
    for path in folder.walk(data):
        name = path.rpartition("/")[2]
        owner = _owner(unfinished(name) or name, topic, swept)
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


def _numbers(folder: Store, topic: str, partition: int, next_seq: int) -> frozenset[int]:
    """Return the numbers under which there may be leftovers."""
    takeovers = islice(Manifest(folder, topic, partition).takeovers(), TAKEOVERS)
    return frozenset({*takeovers, *range(next_seq - RECENT, next_seq)})


def _owner(name: str, topic: str, swept: Mapping[int, frozenset[int]]) -> tuple[int, int] | None:
    """Return partition and sequence number of a data file that is swept, unless an entry lists it."""
    for partition, numbers in swept.items():
        seq = layout.sequence(name, topic, partition)
        if seq is not None:
            return (partition, seq) if seq in numbers else None
    return None


def _manifest_leftovers(folder: Store, topic: str, partition: int, next_seq: int) -> Iterable[str]:
    for path in folder.walk(layout.entries_folder(topic, partition)):
        wanted = unfinished(path.rpartition("/")[2])
        seq = layout.entry_sequence(wanted) if wanted else None
        if seq is not None and seq < next_seq:
            yield path
