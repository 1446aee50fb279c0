"""The archive by its days: which files hold records of a partition, told by their names, and whether an entry lists them."""

from collections.abc import Collection
from typing import NamedTuple

from sinks.archive import layout
from sinks.archive.manifest import Manifest
from sinks.archive.storage import Store

FEW = 16
"""Files of a partition in a folder that are read first: a day that was merged has no more, and holds as much as others."""


class DayFile(NamedTuple):
    """A file of a partition; `seq` is the number of the entry that lists it, if one does."""

    path: str
    partition: int
    seq: int


def folders(store: Store, data: str) -> list[str]:
    """Return the folders of all tenants' days below the folder of a kind of rows, the newest day first."""
    found = [f"{data}/{tenant}/{day}" for tenant in store.names(data) for day in store.names(f"{data}/{tenant}")]
    return sorted(found, key=lambda folder: folder.rpartition("/")[2], reverse=True)


def files(store: Store, folder: str, topic: str, partitions: Collection[int]) -> list[DayFile]:
    """Return the files of these partitions in a folder, the newest first."""
    found = []
    for name in store.names(folder):
        parts = layout.parsed(name)
        if parts and parts.topic == topic and parts.partition in partitions:
            found.append(DayFile(f"{folder}/{name}", parts.partition, parts.seq))
    return sorted(found, key=lambda file: -file.seq)


def is_listed(store: Store, topic: str, file: DayFile) -> bool:
    """Ask the entry whose number a file bears: one that a killed writer left counts for nothing. Raises BrokenManifest."""
    try:
        entry, _ = Manifest(store, topic, file.partition).read(file.seq)
    except FileNotFoundError:
        return False
    return any(each.path == file.path for each in entry.files)
