"""A folder in which a file is complete or absent, also after kill -9 or a power cut."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.dataset as ds

from events.errors import NotReady

_TEMPORARY = ".tmp"


class AlreadyThere(FileExistsError):
    """Somebody has put this file first."""


class Disk:
    """The steps a file takes to be durable, one call to the system each: a test can end the process between any two."""

    def write(self, path: Path, data: bytes) -> None:
        """Write a new file; nothing is durable yet."""
        with path.open("xb") as file:
            file.write(data)

    def sync(self, path: Path) -> None:
        """Wait until a file's content, or a folder's list of names, would survive a power cut."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: Path, path: Path) -> None:
        """Give a file its name, in one step, in place of what had it."""
        source.replace(path)

    def link(self, source: Path, path: Path) -> None:
        """Give a file a second name, in one step; fails when the name is taken."""
        os.link(source, path)

    def make_folder(self, path: Path) -> None:
        """Make one folder."""
        path.mkdir(exist_ok=True)

    def delete(self, path: Path) -> None:
        """Take a name away; nothing happens when it is gone."""
        path.unlink(missing_ok=True)


class Store(Protocol):
    """Where the archive is; paths are relative to its root, with `/`. What goes wrong is an OSError and ends the process."""

    @property
    def name(self) -> str:
        """What to call it in a message."""
        ...

    def check(self) -> None:
        """Try it out; raises NotReady."""

    def put(self, path: str, data: bytes) -> None:
        """Write a file; a file of this name is replaced."""

    def put_if_absent(self, path: str, data: bytes) -> None:
        """Write a file unless there is one; raises AlreadyThere."""

    def get(self, path: str) -> bytes:
        """Return the content of a file; raises FileNotFoundError."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder; none where there is no folder."""
        ...

    def walk(self, folder: str) -> Iterator[str]:
        """Yield the path of every file below a folder."""
        ...

    def delete(self, path: str) -> None:
        """Delete a file, if it is there."""

    def source(self, path: str) -> Any:
        """Return what Arrow reads a file from."""

    def dataset(self, paths: list[str], schema: pa.Schema) -> ds.Dataset:
        """Return Parquet files as one table; a column that an older file has not is null there."""


Root = Path | Store
"""An archive, or the folder it is in."""


def opened(root: Root) -> Store:
    """Return the archive in a folder, or the one that is given."""
    return Folder(root) if isinstance(root, Path) else root


class Folder:
    """The archive's root; paths are relative to it, with `/`. What goes wrong is an OSError and ends the process."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self.root = root
        self.name = str(root)
        self._disk = disk or Disk()
        self._durable: set[Path] = set()

    def check(self) -> None:
        """Try the folder out.

        Raises NotReady when it cannot be written to or knows no hard links, which make the manifest safe.
        """
        probe = f".probe-{uuid.uuid4().hex}"
        try:
            self.put_if_absent(probe, b"")
            self.delete(probe)
        except OSError as error:
            raise NotReady(
                f"The archive's folder {self.root} cannot be used ({error.strerror or error}): it must be writable and on "
                "a file system with hard links; name another in ARCHIVE_URL."
            ) from error

    def put(self, path: str, data: bytes) -> None:
        """Write a file; a file of this name is replaced."""
        final = self._in_folder(path)
        temporary = self._temporary(final, data)
        self._disk.rename(temporary, final)
        self._disk.sync(final.parent)

    def put_if_absent(self, path: str, data: bytes) -> None:
        """Write a file unless there is one; of two that try, exactly one succeeds.

        Raises AlreadyThere.
        """
        final = self._in_folder(path)
        temporary = self._temporary(final, data)
        try:
            self._disk.link(temporary, final)
        except FileExistsError as error:
            raise AlreadyThere(str(final)) from error
        finally:
            self._disk.delete(temporary)
        self._disk.sync(final.parent)

    def get(self, path: str) -> bytes:
        """Return the content of a file."""
        return (self.root / path).read_bytes()

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder, without those of unfinished files; none where there is no folder."""
        try:
            return [name for name in os.listdir(self.root / folder) if not name.endswith(_TEMPORARY)]  # noqa: PTH208
        except FileNotFoundError:
            return []

    def walk(self, folder: str) -> Iterator[str]:
        """Yield the path of every file below a folder, unfinished ones too."""
        for parent, _, names in os.walk(self.root / folder):
            relative = Path(parent).relative_to(self.root).as_posix()
            yield from (f"{relative}/{name}" for name in names)

    def delete(self, path: str) -> None:
        """Delete a file, if it is there."""
        self._disk.delete(self.root / path)

    def source(self, path: str) -> Path:
        """Return what Arrow reads a file from."""
        return self.root / path

    def dataset(self, paths: list[str], schema: pa.Schema) -> ds.Dataset:
        """Return Parquet files as one table; a column that an older file has not is null there."""
        return ds.dataset([str(self.root / path) for path in paths], schema=schema, format="parquet")

    def _temporary(self, final: Path, data: bytes) -> Path:
        # A writer that was thought dead may be at the same file: each has its own temporary name.
        temporary = final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}{_TEMPORARY}")
        try:
            self._disk.write(temporary, data)
            self._disk.sync(temporary)
        except OSError:
            with contextlib.suppress(OSError):
                self._disk.delete(temporary)  # a full disk should not stay full of halves
            raise
        return temporary

    def _in_folder(self, path: str) -> Path:
        final = self.root / path
        wanted = [folder for folder in final.parents if folder.is_relative_to(self.root) or not folder.exists()]
        for folder in reversed(wanted):
            # Once per process even where it exists: who made it may have died before the name was durable.
            if folder not in self._durable:
                self._disk.make_folder(folder)
                self._disk.sync(folder.parent)
                self._durable.add(folder)
        return final


def unfinished(name: str) -> str | None:
    """Return the name a temporary file was to have, None for a finished file."""
    return name[1:].rsplit(".", 2)[0] if name.startswith(".") and name.endswith(_TEMPORARY) else None
