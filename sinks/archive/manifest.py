"""The manifest of one partition: a numbered list of entries, and what is in it is in the archive."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from sinks.archive import layout
from sinks.archive.signing import Signer
from sinks.archive.storage import AlreadyThere, Store

Kind = Literal["claim", "rows", "gap", "compaction"]
"""A writer took the partition over; it archived a range of offsets; offsets left Kafka before they were archived; small
files became large ones."""


class Superseded(RuntimeError):
    """Another writer owns the partition: nothing was committed, and this one must end."""


class BrokenManifest(RuntimeError):
    """An entry is missing, altered, or written by a version this one does not know; the message says which."""


class DataFile(BaseModel):
    """One Parquet file of an entry."""

    model_config = ConfigDict(frozen=True)

    path: str = Field(description="Relative to the archive's root.")
    rows: int
    bytes: int
    sha256: str


class Entry(BaseModel):
    """One step of a partition: everything from `first_offset` up to, not including, `next_offset` is settled."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    kind: Kind
    topic: str
    partition: int
    seq: int
    first_offset: int
    next_offset: int
    files: tuple[DataFile, ...] = ()
    replaces: tuple[str, ...] = Field((), description="Paths of files of earlier entries that count no more.")
    previous: str | None = Field(None, description="SHA-256 of the entry before, as it is stored.")
    taken_over_at: int | None = Field(None, description="Number of the newest claim or gap before this entry.")
    created_at: AwareDatetime
    writer: str
    key_id: str | None = Field(None, description="Names the key of the signature.")
    signature: str | None = Field(None, description="Ed25519, Base64, over the bytes of the entry before this field.")


class Manifest:
    """The entries of one partition, read from and appended to by one writer."""

    def __init__(self, folder: Store, topic: str, partition: int, signer: Signer | None = None) -> None:
        self.topic = topic
        self.partition = partition
        self._folder = folder
        self._signer = signer
        self._path = layout.entries_folder(topic, partition)

    def sequences(self) -> list[int]:
        """Return the numbers of the entries there are, in order."""
        return sorted(
            seq for name in self._folder.names(self._path) if (seq := layout.entry_sequence(name)) is not None
        )

    def read(self, seq: int) -> tuple[Entry, str]:
        """Return an entry and its SHA-256.

        Raises BrokenManifest.
        """
        entry, raw = self._stored(seq)
        return entry, hashlib.sha256(raw).hexdigest()

    def _stored(self, seq: int) -> tuple[Entry, bytes]:
        path = f"{self._path}/{layout.entry_name(seq)}"
        raw = self._folder.get(path)
        try:
            entry = Entry.model_validate_json(raw)
        except ValidationError as error:
            raise BrokenManifest(f"{path} is damaged, or of a newer version of tocsin.") from error
        if (entry.topic, entry.partition, entry.seq) != (self.topic, self.partition, seq):
            raise BrokenManifest(f"{path} is the entry of another partition or number.")
        return entry, raw

    def entries(self) -> Iterator[Entry]:
        """Yield all entries in order, each checked against the one before.

        Raises BrokenManifest.
        """
        yield from (entry for entry, _ in self.stored())

    def stored(self, after: tuple[Entry, str] | None = None) -> Iterator[tuple[Entry, bytes]]:
        """Yield all entries, or those after one and its SHA-256, with their bytes, each checked against the one before.

        Raises BrokenManifest.
        """
        previous, next_offset = (after[1], after[0].next_offset) if after else (None, None)
        first = after[0].seq + 1 if after else 0
        for number, seq in enumerate((seq for seq in self.sequences() if seq >= first), first):
            entry, raw = self._stored(seq)
            follows = next_offset is None or entry.first_offset == next_offset
            if seq != number or entry.previous != previous or not follows:
                raise BrokenManifest(f"{self._path}: entry {number} is missing, or {seq} does not follow it.")
            previous, next_offset = hashlib.sha256(raw).hexdigest(), entry.next_offset
            yield entry, raw

    def last(self) -> tuple[Entry, str] | None:
        """Return the newest entry and its SHA-256, None where there is none yet."""
        sequences = self.sequences()
        return self.read(sequences[-1]) if sequences else None

    def takeovers(self) -> Iterator[int]:
        """Yield the numbers of the claims and gaps, newest first; an archive of before they were noted ends early.

        Raises BrokenManifest.
        """
        last = self.last()
        seq = _takeover(last[0]) if last else None
        while seq is not None:
            yield seq
            seq = self.read(seq)[0].taken_over_at

    def append(
        self,
        kind: Kind,
        *,
        after: tuple[Entry, str] | None,
        offsets: tuple[int, int],
        writer: str,
        files: tuple[DataFile, ...] = (),
        replaces: tuple[str, ...] = (),
    ) -> tuple[Entry, str]:
        """Commit: put the entry that follows `after`, and return it with its SHA-256.

        Raises Superseded when another writer was there first.
        """
        entry = Entry(
            kind=kind,
            topic=self.topic,
            partition=self.partition,
            seq=after[0].seq + 1 if after else 0,
            first_offset=offsets[0],
            next_offset=offsets[1],
            files=files,
            replaces=replaces,
            previous=after[1] if after else None,
            taken_over_at=_takeover(after[0]) if after else None,
            created_at=datetime.now(UTC),
            writer=writer,
            key_id=self._signer.key_id if self._signer else None,
        )
        raw = orjson.dumps(entry.model_dump(mode="json", exclude={"signature"}))
        raw = self._signer.sign(raw) if self._signer else raw
        try:
            self._folder.put_if_absent(f"{self._path}/{layout.entry_name(entry.seq)}", raw)
        except (AlreadyThere, FileNotFoundError):
            self.check_free(entry.seq)
            raise
        return entry, hashlib.sha256(raw).hexdigest()

    def check_free(self, seq: int) -> None:
        """Ask why the file of an entry to come could not be put: a new owner has the number, and sweeps what is of it.

        Raises Superseded when there is an entry of this number.
        """
        if layout.entry_name(seq) in self._folder.names(self._path):
            raise Superseded(
                f"Another writer has taken over partition {self.partition} of {self.topic}; this one ends uncommitted."
            )


def live(entries: Sequence[Entry]) -> list[DataFile]:
    """Return the files that count: those that are listed and have not been replaced."""
    replaced = {path for entry in entries for path in entry.replaces}
    return [file for entry in entries for file in entry.files if file.path not in replaced]


def _takeover(entry: Entry) -> int | None:
    """Return the number of the newest claim or gap up to this entry."""
    return entry.taken_over_at if entry.kind == "rows" else entry.seq
