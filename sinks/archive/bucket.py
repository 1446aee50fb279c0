"""A bucket of S3-compatible object storage, in which an object is complete or absent."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import obstore
import pyarrow as pa
import pyarrow.dataset as ds
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.fsspec import FsspecStore
from obstore.store import S3Store
from pyarrow.fs import FSSpecHandler, PyFileSystem

from events.errors import NotReady
from sinks.archive.storage import AlreadyThere

WITHIN = timedelta(seconds=60)
"""How long one call may take, and how long it is tried again on 5xx answers and broken connections."""


class Bucket:
    """The archive's root in a bucket; paths are relative to it, with `/`. What goes wrong is an OSError, as in a folder.

    Conditional writes (`If-None-Match: *`) make the manifest safe, as hard links do in a folder.
    """

    def __init__(self, bucket: str, prefix: str, config: dict[str, Any], *, retry: timedelta = WITHIN) -> None:
        """Reach the bucket with obstore's S3 configuration; what is not in it comes from AWS_ variables or the machine's role."""
        self.name = f"s3://{bucket}/{prefix}".rstrip("/")
        self._base = f"{bucket}/{prefix}".rstrip("/")
        self._options: dict[str, Any] = {
            "config": config,
            "retry_config": {"max_retries": 10, "retry_timeout": retry},
            # Plain HTTP only where the endpoint says so: inside a machine or a trusted network.
            "client_options": {"timeout": WITHIN, "allow_http": str(config.get("endpoint", "")).startswith("http://")},
        }
        self._store = S3Store(bucket, prefix=prefix or None, **self._options)

    def check(self) -> None:
        """Try the bucket out.

        Raises NotReady when it cannot be written to or does not keep the condition of a conditional write.
        """
        probe = f"manifest/.probe-{uuid.uuid4().hex}"
        try:
            self.put_if_absent(probe, b"1")
            try:
                self.put_if_absent(probe, b"2")
            except AlreadyThere:
                return
            finally:
                self.delete(probe)
        except OSError as error:
            raise NotReady(
                f"The archive's bucket {self.name} cannot be used ({error}): see ARCHIVE_URL and the ARCHIVE_S3_ settings."
            ) from error
        raise NotReady(
            f"The archive's bucket {self.name} ignores If-None-Match, so two writers could overwrite each other; "
            "use object storage that keeps conditional writes."
        )

    def put(self, path: str, data: bytes) -> None:
        """Write an object; one of this name is replaced."""
        with _as_oserror():
            obstore.put(self._store, path, data)

    def put_if_absent(self, path: str, data: bytes) -> None:
        """Write an object unless there is one; of two that try, exactly one succeeds.

        A write that was applied although its answer got lost is tried again and then refused by itself: what is there
        tells. Raises AlreadyThere.
        """
        with _as_oserror():
            try:
                obstore.put(self._store, path, data, mode="create")
            except AlreadyExistsError as error:
                if obstore.get(self._store, path).bytes().to_bytes() != data:
                    raise AlreadyThere(path) from error

    def get(self, path: str) -> bytes:
        """Return the content of an object; FileNotFoundError where there is none."""
        with _as_oserror():
            return obstore.get(self._store, path).bytes().to_bytes()

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder; none where there is no folder."""
        with _as_oserror():
            found = obstore.list_with_delimiter(self._store, folder)
            paths = [*(each["path"] for each in found["objects"]), *found["common_prefixes"]]
            return [path.rpartition("/")[2] for path in paths if path != folder]

    def walk(self, folder: str) -> Iterator[str]:
        """Yield the path of every object below a folder."""
        with _as_oserror():
            for batch in obstore.list(self._store, folder, chunk_size=1_000):
                yield from (each["path"] for each in batch)

    def delete(self, path: str) -> None:
        """Delete an object, if it is there."""
        with _as_oserror():
            try:
                obstore.delete(self._store, path)
            except FileNotFoundError:
                return

    def source(self, path: str) -> Any:
        """Return what Arrow reads the object from, in ranges; FileNotFoundError where there is none."""
        try:
            return self._filesystem().open_input_file(f"{self._base}/{path}")
        except FileNotFoundError:
            with _as_oserror():  # fsspec says so of a bucket that does not answer, too
                obstore.head(self._store, path)
            raise

    def dataset(self, paths: list[str], schema: pa.Schema) -> ds.Dataset:
        """Return Parquet files as one table; a column that an older file has not is null there."""
        places = [f"{self._base}/{path}" for path in paths]
        return ds.dataset(places, schema=schema, format="parquet", filesystem=self._filesystem())

    def _filesystem(self) -> PyFileSystem:
        return PyFileSystem(FSSpecHandler(FsspecStore("s3", **self._options)))


@contextmanager
def _as_oserror() -> Iterator[None]:
    """Let object storage fail as a disk does: whoever cannot go on ends uncommitted, whatever the storage is."""
    try:
        yield
    except BaseError as error:
        raise OSError(str(error).partition("\n")[0][:300]) from error
