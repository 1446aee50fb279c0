"""Names of the archive's files: what goes where below its root, and how to read a name back."""

import hashlib
import re
from datetime import date
from typing import NamedTuple
from urllib.parse import quote

DATA = "enriched"
RAW = "raw"
DELIVERIES = "deliveries"
MANIFEST = "manifest"
HEADS = "heads"
_LONG = 100
_NAME = re.compile(r"(?P<topic>.+)-(?P<partition>\d+)-(?P<offset>\d+)-(?P<seq>\d+)\.parquet")
_ENTRY = re.compile(r"(\d{12,})\.json")


def data_folder(tenant: str, day: date, data: str = DATA) -> str:
    """Return the folder of a tenant's day, in the form query engines read partitions from."""
    return f"{data}/tenant={tenant_segment(tenant)}/date={day.isoformat()}"


def tenant_segment(tenant: str) -> str:
    """Return a tenant as part of a path: percent-encoded, and its SHA-256 where that is too long for a file system."""
    safe = quote(tenant, safe="")
    return safe if len(safe) <= _LONG else hashlib.sha256(tenant.encode()).hexdigest()


def data_name(topic: str, partition: int, first_offset: int, seq: int) -> str:
    """Return the name of a data file, `<topic>-<partition>-<first offset>-<seq>.parquet`."""
    return f"{topic}-{partition}-{first_offset}-{seq}.parquet"


class Parts(NamedTuple):
    """What a data file's name says."""

    topic: str
    partition: int
    first_offset: int
    seq: int


def parsed(name: str) -> Parts | None:
    """Read a data file's name, None for another file."""
    match = _NAME.fullmatch(name)
    return Parts(match["topic"], int(match["partition"]), int(match["offset"]), int(match["seq"])) if match else None


def sequence(name: str, topic: str, partition: int) -> int | None:
    """Return the sequence number in a data file's name, None where it is not of this partition."""
    parts = parsed(name)
    return parts.seq if parts and (parts.topic, parts.partition) == (topic, partition) else None


def entries_folder(topic: str, partition: int) -> str:
    """Return the folder of a partition's manifest."""
    return f"{MANIFEST}/{topic}/{partition}"


def entry_name(seq: int) -> str:
    """Return the name of a manifest entry; names sort as their numbers do."""
    return f"{seq:012d}.json"


def entry_sequence(name: str) -> int | None:
    """Return the sequence number of a manifest entry, None for another file."""
    match = _ENTRY.fullmatch(name)
    return int(match[1]) if match else None
