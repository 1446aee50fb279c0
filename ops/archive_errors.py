"""What can go wrong while the archive is read, as a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from events.errors import NotReady
from sinks.archive.manifest import BrokenManifest
from sinks.archive.storage import Root, opened

UNREADABLE = (OSError, pa.ArrowInvalid, BrokenManifest)
"""The storage is away or a file is gone; a file is damaged; so is the manifest, or an entry is missing."""


def sentence(root: Root, error: BaseException) -> str:
    """Say what is wrong with an archive, without what surrounds it in the library that noticed."""
    name, reason = opened(root).name, str(error).partition("\n")[0][:300]
    if isinstance(error, BrokenManifest):
        return f"The archive in {name} cannot be believed: {reason.rstrip('.')}."
    if isinstance(error, FileNotFoundError):
        return f"The archive in {name} cannot be read: a file that it lists is gone ({error.filename or reason})."
    return f"The archive in {name} cannot be read: {reason.rstrip('.')}."


@contextmanager
def told(root: Root) -> Iterator[None]:
    """Raise NotReady instead of what reading the archive raises; nothing but the archive is read inside."""
    try:
        yield
    except UNREADABLE as error:
        raise NotReady(sentence(root, error)) from error
