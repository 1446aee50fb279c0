"""The sweep takes what no entry can list any more, and nothing else."""

from pathlib import Path

import orjson
import pytest

from sinks.archive import layout
from sinks.archive.manifest import Superseded
from sinks.archive.storage import Disk, Folder
from sinks.archive.sweep import sweep
from sinks.archive.writer import PartitionWriter

DAY = "enriched/tenant=a/date=2026-07-29"


@pytest.fixture
def root(tmp_path, records) -> Path:
    """Return an archive of partition 0 whose next entry is number 4."""
    writer = PartitionWriter(Folder(tmp_path), "t", 0, "w")
    writer.claim(log_start=0, log_end=100)
    for first in (0, 6, 12):
        writer.commit(first + 6, writer.write(records(first, first + 6)).files)
    return tmp_path


def names(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def leave(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"left")


@pytest.mark.parametrize(
    "path",
    [
        f"{DAY}/t-0-18-3.parquet",
        f"{DAY}/t-0-99-0.parquet",
        f"{DAY}/.t-0-18-3.parquet.0123abcd.tmp",
        "enriched/tenant=new/date=2020-01-01/t-0-18-2.parquet",
        "manifest/t/0/.000000000003.json.0123abcd.tmp",
    ],
)
def test_what_a_crash_left(root, path, offsets):
    before = names(root)
    leave(root, path)
    assert sweep(Folder(root), "t", {0: 4}) == 1
    assert names(root) == before
    assert offsets(root) == list(range(18))


@pytest.mark.parametrize(
    "path",
    [
        f"{DAY}/t-0-18-4.parquet",  # the number is still to come: a living writer's
        f"{DAY}/.t-0-18-4.parquet.0123abcd.tmp",
        f"{DAY}/t-1-18-3.parquet",  # another partition, which this process does not own
        f"{DAY}/t.x-0-18-3.parquet",
        f"{DAY}/u-0-18-3.parquet",
        f"{DAY}/notes.txt",
        "manifest/t/0/.000000000004.json.0123abcd.tmp",
        "manifest/t/0/notes.json",
        "manifest/t/1/.000000000003.json.0123abcd.tmp",
        "notes.parquet",
    ],
)
def test_what_may_be_somebodys(root, path):
    leave(root, path)
    before = names(root)
    assert sweep(Folder(root), "t", {0: 4}) == 0
    assert names(root) == before


def test_many_at_once_and_again(root):
    leave(root, *(f"{DAY}/t-0-{offset}-3.parquet" for offset in range(20, 30)))
    assert sweep(Folder(root), "t", {0: 4}) == 10
    assert sweep(Folder(root), "t", {0: 4}) == 0


def test_an_empty_folder(tmp_path):
    assert sweep(Folder(tmp_path), "t", {}) == 0
    assert sweep(Folder(tmp_path), "t", {0: 1}) == 0


def test_names_are_told_apart_by_their_partition(root):
    name = layout.data_name("t-0", 1, 18, 3)  # of topic `t-0`, partition 1
    leave(root, f"{DAY}/{name}")
    assert sweep(Folder(root), "t", {0: 4, 1: 4, 18: 4}) == 0


def test_a_zombies_last_word_long_ago(tmp_path, records, offsets, unlisted):
    """It wrote under the number of the claim that took its partition, after that claim's sweep, and was killed then."""
    folder = Folder(tmp_path)
    zombie = PartitionWriter(folder, "t", 0, "zombie")
    zombie.claim(log_start=0, log_end=1000)
    living = PartitionWriter(folder, "t", 0, "living")
    living.claim(log_start=0, log_end=1000)
    sweep(folder, "t", {0: living.next_seq})
    zombie.write(records(0, 4))
    for offset in range(40):
        living.commit(offset + 1, living.write(records(offset, offset + 1)).files)
    assert len(unlisted(tmp_path)) == 4
    for _ in range(30):
        living = PartitionWriter(folder, "t", 0, "restarted")
        living.claim(log_start=0, log_end=1000)
    sweep(folder, "t", {0: living.next_seq})
    assert unlisted(tmp_path) == []
    assert offsets(tmp_path) == list(range(40))


def test_an_archive_of_the_first_version_knows_its_newest_numbers(tmp_path, records, monkeypatch):
    """Its entries do not say when the partition was taken over."""
    entry = orjson.loads((folder_of(tmp_path, records) / "000000000002.json").read_bytes())
    del entry["taken_over_at"]
    (tmp_path / "manifest/t/0/000000000002.json").write_bytes(orjson.dumps(entry))
    leave(tmp_path, f"{DAY}/t-0-18-2.parquet")
    assert sweep(Folder(tmp_path), "t", {0: 3}) == 1


def folder_of(root: Path, records) -> Path:
    writer = PartitionWriter(Folder(root), "t", 0, "w")
    writer.claim(log_start=0, log_end=100)
    for first in (0, 6):
        writer.commit(first + 6, writer.write(records(first, first + 6)).files)
    return root / "manifest/t/0"


class Overtaken(Disk):
    """A disk so slow, at one step, that a new owner has claimed and swept when it gets there."""

    def __init__(self, root: Path, step: str, name: str) -> None:
        self._root, self._step, self._name = root, step, name

    def sync(self, path: Path) -> None:
        self._sleep("sync", path)
        super().sync(path)

    def rename(self, source: Path, path: Path) -> None:
        self._sleep("rename", path)
        super().rename(source, path)

    def link(self, source: Path, path: Path) -> None:
        self._sleep("link", path)
        super().link(source, path)

    def _sleep(self, step: str, path: Path) -> None:
        if step == self._step and self._name in path.name:
            self._step = "none"
            living = PartitionWriter(Folder(self._root), "t", 0, "living")
            living.claim(log_start=0, log_end=1000)
            sweep(Folder(self._root), "t", {0: living.next_seq})


@pytest.mark.parametrize(
    ("step", "name"), [("sync", ".parquet."), ("rename", ".parquet"), ("sync", "01.json."), ("link", "01.json")]
)
def test_a_zombie_whose_file_was_swept_knows_why(tmp_path, records, unlisted, step, name):
    zombie = PartitionWriter(Folder(tmp_path, Overtaken(tmp_path, step, name)), "t", 0, "zombie")
    zombie.claim(log_start=0, log_end=1000)
    with pytest.raises(Superseded):
        zombie.commit(4, zombie.write(records(0, 4)).files)
    assert unlisted(tmp_path) == []


def test_a_folder_that_loses_files_is_not_another_writer(tmp_path, records):
    class Losing(Disk):
        def rename(self, source: Path, path: Path) -> None:
            self.delete(source)
            super().rename(source, path)

    writer = PartitionWriter(Folder(tmp_path, Losing()), "t", 0, "w")
    writer.claim(log_start=0, log_end=1000)
    with pytest.raises(FileNotFoundError):
        writer.write(records(0, 4))
