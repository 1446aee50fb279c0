"""A file is complete or absent, and of two that put the same one, one succeeds."""

import errno
import os
import threading
from pathlib import Path

import pytest

from events.errors import NotReady
from sinks.archive.storage import AlreadyThere, Disk, Folder, unfinished


class Recorder(Disk):
    """Notes the order of the steps, with paths below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.steps: list[tuple[str, str]] = []

    def _note(self, step: str, path: Path) -> None:
        name = path.relative_to(self.root.parent).as_posix()
        self.steps.append((step, f"{path.parent.name}/temporary" if unfinished(path.name) else name))

    def write(self, path, data):
        self._note("write", path)
        super().write(path, data)

    def sync(self, path):
        self._note("sync", path)
        super().sync(path)

    def rename(self, source, path):
        self._note("rename", path)
        super().rename(source, path)

    def link(self, source, path):
        self._note("link", path)
        super().link(source, path)

    def make_folder(self, path):
        self._note("make_folder", path)
        super().make_folder(path)

    def delete(self, path):
        self._note("delete", path)
        super().delete(path)


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_content_is_durable_before_its_name_and_the_name_before_the_return(tmp_path):
    disk = Recorder(tmp_path / "r")
    Folder(tmp_path / "r", disk).put("d/f", b"x")
    made = [("make_folder", "r"), ("sync", ""), ("make_folder", "r/d"), ("sync", "r")]
    assert [(step, name.removeprefix(".")) for step, name in disk.steps] == [
        *made,
        ("write", "d/temporary"),
        ("sync", "d/temporary"),
        ("rename", "r/d/f"),
        ("sync", "r/d"),
    ]


def test_the_commit_too(tmp_path):
    disk = Recorder(tmp_path / "r")
    folder = Folder(tmp_path / "r", disk)
    folder.put("d/f", b"x")
    disk.steps.clear()
    folder.put_if_absent("d/g", b"x")
    steps = [step for step, _ in disk.steps]
    assert steps == ["write", "sync", "link", "delete", "sync"]
    assert disk.steps[1] == ("sync", "d/temporary")
    assert disk.steps[4] == ("sync", "r/d")


def test_put_replaces_and_put_if_absent_does_not(tmp_path):
    folder = Folder(tmp_path)
    folder.put("f", b"1")
    folder.put("f", b"2")
    with pytest.raises(AlreadyThere):
        folder.put_if_absent("f", b"3")
    assert folder.get("f") == b"2"
    assert files(tmp_path) == ["f"]


def test_of_many_that_put_the_same_name_exactly_one_succeeds(tmp_path):
    start, won = threading.Barrier(8), []

    def contend(number: int) -> None:
        folder = Folder(tmp_path)
        for round_ in range(25):
            start.wait()
            try:
                folder.put_if_absent(f"d/{round_}", str(number).encode())
            except AlreadyThere:
                continue
            won.append((round_, number))

    threads = [threading.Thread(target=contend, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(round_ for round_, _ in won) == list(range(25))
    assert all(Folder(tmp_path).get(f"d/{round_}") == str(number).encode() for round_, number in won)
    assert len(files(tmp_path)) == 25


@pytest.mark.parametrize("step", ["write", "sync", "link"])
def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch, step):
    folder = Folder(tmp_path / "r")
    folder.put("kept", b"k")

    def full(*_arguments) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Disk, step, full)
    for put in (folder.put, folder.put_if_absent)[step == "link" :]:
        with pytest.raises(OSError, match="No space left"):
            put("f", b"x" * 100)
    assert files(tmp_path / "r") == ["kept"]


def test_half_written_files_are_not_named(tmp_path):
    folder = Folder(tmp_path)
    folder.put("d/f", b"")
    (tmp_path / "d" / ".g.0123abcd.tmp").write_bytes(b"")
    assert folder.names("d") == ["f"]
    assert sorted(folder.walk("d")) == ["d/.g.0123abcd.tmp", "d/f"]
    assert folder.names("none") == list(folder.walk("none")) == []


@pytest.mark.parametrize(
    ("name", "wanted"),
    [(".a-1.parquet.0123abcd.tmp", "a-1.parquet"), ("a-1.parquet", None), (".hidden", None), ("a.tmp", None)],
)
def test_a_temporary_name_tells_what_it_was_to_become(name, wanted):
    assert unfinished(name) == wanted


def test_check_leaves_an_empty_folder(tmp_path):
    Folder(tmp_path / "a" / "b").check()
    assert files(tmp_path) == []


def test_check_names_the_folder_and_the_reason(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotReady, match=r"file/archive cannot be used \(Not a directory\).*ARCHIVE_URL\.$"):
        Folder(tmp_path / "file" / "archive").check()


def test_a_file_system_without_hard_links_is_refused(tmp_path, monkeypatch):
    def refuse(*_arguments) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Disk, "link", refuse)
    with pytest.raises(NotReady, match="hard links"):
        Folder(tmp_path / "r").check()
