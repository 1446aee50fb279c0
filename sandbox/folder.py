"""The data folder of `tocsin up`: one process at a time, and the hook that stays the same from start to start."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from events.errors import NotReady


@contextmanager
def taken(data: Path) -> Iterator[None]:
    """Keep a second `tocsin up` out of the folder; the kernel lets go when this process ends, however it ends.

    Raises NotReady when there is one already, or the folder cannot be made.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "lock").open("a+")
    except OSError as error:
        raise NotReady(f"{data} cannot be used ({error.strerror}): choose another folder with TOCSIN_DATA.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise NotReady(
                f"`tocsin up` already runs on {data} (process {lock.read().strip() or 'unknown'}): "
                "stop it first, or choose another folder with TOCSIN_DATA."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def hook(data: Path) -> str:
    """Return the hook of this folder as `name=token`; the first time one is made, readable by its owner only.

    Raises NotReady when its file is not as it was written.
    """
    path = data / "hooks"
    if not path.exists():
        fresh = data / "hooks.new"
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"default={secrets.token_urlsafe(24)}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    name, _, token = path.read_text(encoding="utf-8").strip().partition("=")
    if not name or not token:
        raise NotReady(f"{path} does not hold name=token: correct it, or remove it and a new hook is made.")
    return f"{name}={token}"
