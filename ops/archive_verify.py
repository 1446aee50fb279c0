"""`tocsin archive verify`: whether the archive is what its manifests say, and they are what was once signed."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ops.scan import Progress
from sinks.archive import heads, layout
from sinks.archive.heads import Head
from sinks.archive.manifest import BrokenManifest, DataFile, Entry, Manifest, live
from sinks.archive.signing import is_signed, signed_by
from sinks.archive.storage import Store


@dataclass
class Verdict:
    """What was looked at, and what is wrong."""

    entries: int = 0
    signed: int = 0
    files: int = 0
    rows: int = 0
    heads: int = 0
    problems: list[str] = field(default_factory=list)
    digests: dict[tuple[str, int, int], str] = field(default_factory=dict)
    """Of each entry of each partition."""
    head_digests: set[str] = field(default_factory=set)


def verify(
    store: Store,
    *,
    keys: Sequence[Ed25519PublicKey] = (),
    wanted: Sequence[str] = (),
    contents: bool = True,
    progress: Progress = lambda _passed, _all: None,
) -> Verdict:
    """Check every manifest, file and head, also of an archive that is being written meanwhile.

    With `keys` whatever one of them has not signed is a problem. `wanted` are heads kept elsewhere, which must still be
    there. Without `contents` files are looked for but not read. Raises OSError when the storage fails.
    """
    check = _Check(store, keys, contents=contents, progress=progress)
    # What vouches is read before what it vouches for, or it would speak of entries that were put in between.
    vouching = list(check.heads())
    check.walk()
    for topic in sorted(store.names(layout.MANIFEST)):
        for name in sorted(store.names(f"{layout.MANIFEST}/{topic}")):
            if name.isdigit():
                check.partition(Manifest(store, topic, int(name)))
    verdict = check.verdict
    for head in vouching:
        verdict.problems += [
            f"entry {tip.seq} of {tip.topic}/{tip.partition} is not the one that head {head.number} vouches for"
            for tip in head.tips
            if verdict.digests.get((tip.topic, tip.partition, tip.seq)) != tip.sha256
        ]
    verdict.problems += [
        f"head {each} is nowhere: what it vouched for was changed, or removed together with everything after it"
        for each in wanted
        if each not in verdict.head_digests
    ]
    if not verdict.digests:
        verdict.problems.append(f"there is no archive in {store.name}: no manifest has an entry")
    return verdict


class _Check:
    """One look through an archive."""

    def __init__(self, store: Store, keys: Sequence[Ed25519PublicKey], *, contents: bool, progress: Progress) -> None:
        self.verdict = Verdict()
        self._store = store
        self._keys = keys
        self._contents = contents
        self._progress = progress
        self._there = set[str]()
        self._looked_at = 0

    def heads(self) -> Iterator[Head]:
        """Yield the heads up to the first that is broken."""
        try:
            for head, raw in heads.chain(self._store):
                self.verdict.heads += 1
                self.verdict.head_digests.add(hashlib.sha256(raw).hexdigest())
                self._signature(f"head {head.number}", raw)
                yield head
        except BrokenManifest as error:
            self.verdict.problems.append(str(error))

    def walk(self) -> None:
        """Note which data files there are; what comes later is asked for by its name."""
        for folder in (layout.DATA, layout.RAW, layout.DELIVERIES):
            self._there.update(self._store.walk(folder))

    def partition(self, manifest: Manifest) -> None:
        """Check the entries of a partition and their files.

        A file may be merged into another and deleted after its entry was read: what is missing counts only when no newer
        entry replaces it.
        """
        entries, broken = self._entries(manifest, [])
        replaced, missing, fresh = set[str](), list[str](), entries
        while fresh:
            replaced.update(path for entry in fresh for path in entry.replaces)
            missing += [path for entry in fresh for file in entry.files if (path := self._missing(file, replaced))]
            missing = [path for path in missing if path not in replaced]
            if broken or not missing:
                break
            fresh, broken = self._entries(manifest, entries)
            entries += fresh
        self.verdict.problems += [f"{path} is missing" for path in missing]
        counting = live(entries)
        self.verdict.files += len(counting)
        self.verdict.rows += sum(file.rows for file in counting)

    def _entries(self, manifest: Manifest, known: Sequence[Entry]) -> tuple[list[Entry], bool]:
        """Return the entries after the known ones, and whether the manifest is broken behind them."""
        where = layout.entries_folder(manifest.topic, manifest.partition)
        digests, last = self.verdict.digests, known[-1] if known else None
        after = (last, digests[last.topic, last.partition, last.seq]) if last else None
        entries = []
        try:
            for entry, raw in manifest.stored(after):
                entries.append(entry)
                self.verdict.entries += 1
                digests[entry.topic, entry.partition, entry.seq] = hashlib.sha256(raw).hexdigest()
                self._signature(f"{where}, entry {entry.seq}", raw)
        except BrokenManifest as error:  # what comes before the break is looked at all the same
            self.verdict.problems.append(str(error))
            return entries, True
        return entries, False

    def _missing(self, file: DataFile, replaced: set[str]) -> str | None:
        """Look at a file and return its path if it is not there."""
        there = file.path in self._there
        if file.path in replaced and not there:
            return None
        self._looked_at += 1
        self._progress(self._looked_at, max(self._looked_at, len(self._there)))
        if there and not self._contents:
            return None
        try:
            data = self._store.get(file.path)
        except FileNotFoundError:
            return file.path
        if len(data) != file.bytes or hashlib.sha256(data).hexdigest() != file.sha256:
            self.verdict.problems.append(f"{file.path} was changed")
        return None

    def _signature(self, what: str, raw: bytes) -> None:
        self.verdict.signed += is_signed(raw)
        if self._keys and signed_by(raw, self._keys) is None:
            said = "is signed by none of the keys" if is_signed(raw) else "is not signed"
            self.verdict.problems.append(f"{what} {said}")
