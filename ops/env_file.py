"""Change settings in a `.env` file: what else is there stays, and the file is whole at every moment."""

import contextlib
import io
import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from events.errors import NotReady

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+,=~")


def read(path: Path) -> str:
    """Return the text of the file, "" when there is none.

    Raises NotReady when it is there and cannot be read.
    """
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise NotReady(f"{path} cannot be read as text ({type(error).__name__}): correct or move it.") from error


def changed(text: str, settings: Mapping[str, str]) -> str:
    """Return the text with these settings; a name that is there keeps its place, a new one comes at the end.

    Raises NotReady, without the value, for one that a `.env` file cannot hold.
    """
    left, parts = dict(settings), []
    for binding in parse_stream(io.StringIO(text, newline="")):
        name = binding.key
        if name not in settings:
            parts.append(binding.original.string)
        elif name in left:
            before = binding.original.string[: len(binding.original.string) - len(binding.original.string.lstrip())]
            parts.append(f"{before}{_line(name, left.pop(name))}")
        # else: said twice; the last one would win
    kept = "".join(parts)
    new = (kept + "\n" if kept and not kept.endswith("\n") else kept) + "".join(map(_line, left, left.values()))
    found = dotenv_values(stream=io.StringIO(new))
    for name, value in settings.items():
        if found.get(name) != value:
            raise NotReady(f"the value of {name} cannot be written to a .env file: it holds `${{`.")
    return new


def write(path: Path, text: str) -> None:
    """Replace the file at once, readable by its owner only; a crash leaves the old one or the new one.

    Raises NotReady when the folder does not let us.
    """
    path = path.resolve()  # a link stays a link
    fresh = path.with_name(f"{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise NotReady(f"{path} cannot be written ({error.strerror or error}).") from error
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)


def _line(name: str, value: str) -> str:
    if _PLAIN.issuperset(value):
        return f"{name}={value}\n"
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name}='{escaped}'\n"  # so that a shell may read the file too
