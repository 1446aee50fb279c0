"""`tocsin archive verify`: whether the archive is what its manifests say, and they are what was once signed."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sinks.archive import heads, layout
from sinks.archive.manifest import BrokenManifest, DataFile, Manifest
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
    store: Store, *, keys: Sequence[Ed25519PublicKey] = (), wanted: Sequence[str] = (), contents: bool = True
) -> Verdict:
    """Check every manifest, file and head.

    With `keys` whatever one of them has not signed is a problem. `wanted` are heads kept elsewhere, which must still be
    there. Without `contents` files are looked for but not read. Raises OSError when the storage fails.
    """
    verdict = Verdict()
    there = set[str]()
    for folder in (layout.DATA, layout.RAW, layout.DELIVERIES):
        there.update(store.walk(folder))
    for topic in sorted(store.names(layout.MANIFEST)):
        for name in sorted(store.names(f"{layout.MANIFEST}/{topic}")):
            if name.isdigit():
                _partition(store, Manifest(store, topic, int(name)), verdict, keys, there, contents=contents)
    _heads(store, verdict, keys)
    verdict.problems += [
        f"head {each} is nowhere: what it vouched for was changed, or removed together with everything after it"
        for each in wanted
        if each not in verdict.head_digests
    ]
    return verdict


def _partition(
    store: Store,
    manifest: Manifest,
    verdict: Verdict,
    keys: Sequence[Ed25519PublicKey],
    there: set[str],
    *,
    contents: bool,
) -> None:
    where = layout.entries_folder(manifest.topic, manifest.partition)
    entries = []
    try:
        for entry, raw in manifest.stored():
            entries.append(entry)
            verdict.entries += 1
            verdict.digests[entry.topic, entry.partition, entry.seq] = hashlib.sha256(raw).hexdigest()
            _signature(f"{where}, entry {entry.seq}", raw, verdict, keys)
    except BrokenManifest as error:  # what comes before the break is looked at all the same
        verdict.problems.append(str(error))
    replaced = {path for entry in entries for path in entry.replaces}
    for entry in entries:
        files = [file for file in entry.files if file.path not in replaced or file.path in there]
        verdict.problems += _files(store, files, replaced, verdict, there, contents=contents)


def _files(
    store: Store, files: Sequence[DataFile], replaced: set[str], verdict: Verdict, there: set[str], *, contents: bool
) -> Iterator[str]:
    for file in files:
        if file.path not in replaced:
            verdict.files += 1
            verdict.rows += file.rows
        if file.path not in there:
            yield f"{file.path} is missing"
        elif contents:
            data = store.get(file.path)
            if len(data) != file.bytes or hashlib.sha256(data).hexdigest() != file.sha256:
                yield f"{file.path} was changed"


def _heads(store: Store, verdict: Verdict, keys: Sequence[Ed25519PublicKey]) -> None:
    try:
        for head, raw in heads.chain(store):
            verdict.heads += 1
            verdict.head_digests.add(hashlib.sha256(raw).hexdigest())
            _signature(f"head {head.number}", raw, verdict, keys)
            verdict.problems += [
                f"entry {tip.seq} of {tip.topic}/{tip.partition} is not the one that head {head.number} vouches for"
                for tip in head.tips
                if verdict.digests.get((tip.topic, tip.partition, tip.seq)) != tip.sha256
            ]
    except BrokenManifest as error:
        verdict.problems.append(str(error))


def _signature(what: str, raw: bytes, verdict: Verdict, keys: Sequence[Ed25519PublicKey]) -> None:
    verdict.signed += is_signed(raw)
    if keys and signed_by(raw, keys) is None:
        verdict.problems.append(f"{what} is signed by none of the keys" if is_signed(raw) else f"{what} is not signed")
