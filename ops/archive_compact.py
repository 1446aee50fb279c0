"""`tocsin archive compact`: every partition of the archive, one after the other."""

import os
import socket
from datetime import timedelta

from events.errors import NotReady
from events.settings import parse_duration
from sinks.archive import compaction, layout
from sinks.archive.manifest import BrokenManifest, Superseded
from sinks.archive.settings import ArchiveSettings
from sinks.archive.signing import load_signer


def compact(at_least: int, keep: str) -> None:
    """Merge and clear, and print what was done. Raises NotReady."""
    span = parse_duration(keep)
    if not isinstance(span, timedelta):
        raise NotReady(f"{keep!r} is no length of time; write 30m, 24h or 7d.")
    settings = ArchiveSettings()
    store = settings.store()
    signer = load_signer(settings.signing_key) if settings.signing_key else None
    writer, merged, deleted = f"{socket.gethostname()}/{os.getpid()}", 0, 0
    try:
        for topic in sorted(store.names(layout.MANIFEST)):
            for name in sorted(store.names(f"{layout.MANIFEST}/{topic}")):
                deleted += compaction.clear(store, topic, int(name), span)
                merged += compaction.compact(store, topic, int(name), writer, signer, at_least=at_least)
    except (Superseded, BrokenManifest) as error:
        raise NotReady(str(error)) from error
    except OSError as error:
        raise NotReady(f"The archive in {store.name} failed: {error}; nothing is lost, start again.") from error
    print(f"merged={merged} deleted={deleted}")
