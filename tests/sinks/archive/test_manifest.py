"""An entry is the commit: one writer per number, each bound to the one before."""

import re

import orjson
import pytest

from sinks.archive.manifest import BrokenManifest, Manifest, Superseded
from sinks.archive.storage import Folder

PATH = "manifest/t/3"


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


def chain(folder: Folder, length: int = 3) -> Manifest:
    manifest, last = Manifest(folder, "t", 3), None
    for number in range(length):
        last = manifest.append("rows", after=last, offsets=(number * 10, number * 10 + 10), writer="w")
    return manifest


def damage(folder: Folder, number: int, **changes) -> None:
    path = folder.root / PATH / f"{number:012d}.json"
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | changes))


def test_entries_come_back_in_order_with_their_chain(folder):
    entries = list(chain(folder, 12).entries())
    assert [entry.seq for entry in entries] == list(range(12))
    assert [entry.next_offset for entry in entries] == list(range(10, 130, 10))
    assert entries[0].previous is None
    assert len({entry.previous for entry in entries}) == 12


def test_an_empty_manifest(folder):
    manifest = Manifest(folder, "t", 3)
    assert manifest.last() is None
    assert list(manifest.entries()) == []


def test_the_second_writer_of_a_number_is_superseded(folder):
    manifest = chain(folder)
    last = manifest.last()
    manifest.append("claim", after=last, offsets=(30, 30), writer="new")
    with pytest.raises(Superseded, match="partition 3 of t"):
        manifest.append("rows", after=last, offsets=(30, 40), writer="old")
    assert [entry.writer for entry in manifest.entries()] == ["w", "w", "w", "new"]


def test_partitions_do_not_mix(folder):
    chain(folder)
    assert Manifest(folder, "t", 30).last() is None
    assert Manifest(folder, "t.x", 3).last() is None


@pytest.mark.parametrize("seq", range(3))
def test_a_missing_entry_is_named(folder, seq):
    manifest = chain(folder, 4)
    (folder.root / PATH / f"{seq:012d}.json").unlink()
    with pytest.raises(BrokenManifest, match=f"{PATH}: entry {seq} is missing"):
        list(manifest.entries())


@pytest.mark.parametrize("change", [{"writer": "x"}, {"next_offset": 9}, {"more": 1}, {"created_at": 0}])
def test_an_altered_entry_breaks_the_chain(folder, change):
    manifest = chain(folder)
    damage(folder, 0, **change)
    with pytest.raises(BrokenManifest):
        list(manifest.entries())


@pytest.mark.parametrize("change", [{"first_offset": 21}, {"first_offset": 19}, {"previous": None}])
def test_an_entry_that_does_not_follow_is_seen_at_the_end_too(folder, change):
    manifest = chain(folder)
    damage(folder, 2, **change)
    with pytest.raises(BrokenManifest, match="does not follow"):
        list(manifest.entries())


@pytest.mark.parametrize("change", [{"version": 2}, {"kind": "x"}, {"seq": "x"}, {"created_at": "2026-01-01T00:00:00"}])
def test_what_this_version_does_not_know_is_not_guessed(folder, change):
    manifest = chain(folder)
    damage(folder, 2, **change)
    with pytest.raises(BrokenManifest, match=re.escape(f"{PATH}/000000000002.json is damaged, or of a newer")):
        manifest.last()


@pytest.mark.parametrize("change", [{"partition": 4}, {"topic": "u"}, {"seq": 1}])
def test_an_entry_of_another_place(folder, change):
    manifest = chain(folder)
    damage(folder, 2, **change)
    with pytest.raises(BrokenManifest, match="of another partition or number"):
        manifest.last()


def test_half_an_entry(folder):
    manifest = chain(folder)
    path = folder.root / PATH / "000000000002.json"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(BrokenManifest):
        manifest.last()
