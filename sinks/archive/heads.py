"""Heads: a chain over all manifests, so that one hash, kept elsewhere, vouches for everything archived until then."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from sinks.archive import layout
from sinks.archive.manifest import BrokenManifest
from sinks.archive.signing import Signer
from sinks.archive.storage import AlreadyThere, Store


class Tip(BaseModel):
    """The newest entry of a partition, by its SHA-256 as it is stored."""

    model_config = ConfigDict(frozen=True)

    topic: str
    partition: int
    seq: int
    sha256: str


class Head(BaseModel):
    """What one process knew to be archived; with the heads before it, what all did."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    number: int
    previous: str | None
    created_at: AwareDatetime
    writer: str
    tips: tuple[Tip, ...]
    key_id: str | None = None
    signature: str | None = None


def numbers(store: Store) -> list[int]:
    """Return the numbers of the heads there are, in order."""
    return sorted(each for name in store.names(layout.HEADS) if (each := layout.entry_sequence(name)) is not None)


def read(store: Store, number: int) -> tuple[Head, bytes]:
    """Return a head, and its bytes. Raises BrokenManifest."""
    path = f"{layout.HEADS}/{layout.entry_name(number)}"
    raw = store.get(path)
    try:
        head = Head.model_validate_json(raw)
    except ValidationError as error:
        raise BrokenManifest(f"{path} is damaged, or of a newer version of tocsin.") from error
    if head.number != number:
        raise BrokenManifest(f"{path} is the head of another number.")
    return head, raw


def chain(store: Store) -> Iterator[tuple[Head, bytes]]:
    """Yield all heads in order, each checked against the one before. Raises BrokenManifest."""
    previous = None
    for expected, number in enumerate(numbers(store)):
        head, raw = read(store, number)
        if number != expected or head.previous != previous:
            raise BrokenManifest(f"{layout.HEADS}: head {expected} is missing, or {number} does not follow it.")
        previous = hashlib.sha256(raw).hexdigest()
        yield head, raw


def append(store: Store, tips: tuple[Tip, ...], writer: str, signer: Signer | None) -> tuple[str, bytes]:
    """Put the next head, after whatever other processes have put, and return its SHA-256 and its bytes."""
    while True:
        there = numbers(store)
        last = read(store, there[-1])[1] if there else None
        head = Head(
            number=there[-1] + 1 if there else 0,
            previous=hashlib.sha256(last).hexdigest() if last else None,
            created_at=datetime.now(UTC),
            writer=writer,
            tips=tips,
            key_id=signer.key_id if signer else None,
        )
        raw = orjson.dumps(head.model_dump(mode="json", exclude={"signature"}))
        raw = signer.sign(raw) if signer else raw
        try:
            store.put_if_absent(f"{layout.HEADS}/{layout.entry_name(head.number)}", raw)
        except AlreadyThere:
            continue
        return hashlib.sha256(raw).hexdigest(), raw
