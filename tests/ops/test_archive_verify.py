"""`tocsin archive verify` finds what docs/archive.md says it finds, and nothing in an archive that is whole."""

import shutil
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from events.codec import encode
from events.errors import NotReady
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from ops.archive_verify import verify
from ops.cli import app
from sinks.archive import compaction, heads, signing
from sinks.archive.layout import entry_name
from sinks.archive.storage import Disk, Folder
from sinks.archive.writer import PartitionWriter


class Record:
    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.value = encode(
            EnrichedEvent(
                event_id=f"e{offset}",
                received_at=datetime(2026, 7, 29, tzinfo=UTC),
                event=WebhookEvent(type="alert", action="created"),
                enrichment=Enrichment(status="complete"),
            )
        )


@pytest.fixture
def signer():
    return signing.Signer(Ed25519PrivateKey.generate())


def write(root, signer, first: int, entries: int) -> list[str]:
    """Append entries of two records each to two partitions, put a head over them, and return it."""
    store, tips = Folder(root), []
    for partition in (0, 1):
        writer = PartitionWriter(store, "t", partition, "w", signer=signer)
        writer.claim(log_start=0, log_end=1_000)
        for number in range(first, first + 2 * entries, 2):
            writer.commit(number + 2, writer.write([Record(number), Record(number + 1)]).files)
        tips.append(writer.tip)
    return [heads.append(store, tuple(tips), "w", signer)[0]]


@pytest.fixture
def archive(tmp_path, signer):
    """An archive with two heads: the hash of each."""
    root = tmp_path / "archive"
    return root, write(root, signer, 0, 3) + write(root, signer, 6, 2), signer._key.public_key()


def test_a_whole_archive_has_no_problem(archive):
    root, wanted, key = archive
    verdict = verify(Folder(root), keys=[key], wanted=wanted)
    assert verdict.problems == []
    assert (verdict.entries, verdict.signed, verdict.files, verdict.rows, verdict.heads) == (14, 16, 10, 20, 2)


def entry(root, seq: int, partition: int = 0):
    return root / "manifest" / "t" / str(partition) / entry_name(seq)


def data_files(root):
    return sorted(root.rglob("*.parquet"))


CHANGES = {
    "a file changed": (lambda root: data_files(root)[0].write_bytes(b"x"), "was changed"),
    "a file gone": (lambda root: data_files(root)[0].unlink(), "is missing"),
    "an entry gone": (lambda root: entry(root, 2).unlink(), "entry 2 is missing"),
    "an entry changed": (
        lambda root: entry(root, 2).write_bytes(entry(root, 2).read_bytes().replace(b'"rows":2', b'"rows":1')),
        "signed by none of the keys",
    ),
    "two entries swapped": (lambda root: shutil.copy(entry(root, 2), entry(root, 3)), "of another partition or number"),
    "an entry of another partition": (
        lambda root: shutil.copy(entry(root, 2, 1), entry(root, 2)),
        "of another partition or number",
    ),
    "the newest entry cut off": (lambda root: entry(root, 6).unlink(), "not the one that head 1 vouches for"),
    "an entry without its signature": (
        lambda root: entry(root, 6).write_bytes(entry(root, 6).read_bytes().partition(b',"signature"')[0] + b"}"),
        "is not signed",
    ),
    "a head gone": (lambda root: (root / "heads" / entry_name(0)).unlink(), "head 0 is missing"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_found(archive, change):
    root, wanted, key = archive
    act, said = CHANGES[change]
    act(root)
    assert [each for each in verify(Folder(root), keys=[key], wanted=wanted).problems if said in each]


class Living(Folder):
    """An archive that goes on just before one of the calls that read it."""

    def __init__(self, root, call: int, act) -> None:
        super().__init__(root)
        self.calls, self._call, self._act = 0, call, act

    def _go_on(self) -> None:
        self.calls += 1
        if self.calls == self._call:
            self._act()

    def names(self, folder):
        self._go_on()
        return super().names(folder)

    def walk(self, folder):
        self._go_on()
        yield from super().walk(folder)

    def get(self, path):
        self._go_on()
        return super().get(path)


@pytest.mark.parametrize("contents", [True, False])
def test_an_archive_that_is_written_and_compacted_meanwhile_has_no_problem(tmp_path, signer, contents, monkeypatch):
    monkeypatch.setattr(Disk, "sync", lambda *_: None)  # no power is cut here
    key, total = signer._key.public_key(), 0
    write(tmp_path / "before", signer, 0, 2)
    for call in count(1):
        root = shutil.copytree(tmp_path / "before", tmp_path / str(call))

        def go_on(root=root) -> None:
            write(root, signer, 4, 1)
            for partition in (0, 1):
                compaction.compact(Folder(root), "t", partition, "w", signer, at_least=2)
                compaction.clear(Folder(root), "t", partition, timedelta(0))

        store = Living(root, call, go_on)
        assert verify(store, keys=[key], contents=contents).problems == []
        if call > store.calls:
            break
        total = store.calls
    assert total > 10


def test_a_file_lost_from_an_archive_that_is_written_meanwhile_is_found(archive):
    root, _, key = archive
    lost = data_files(root)[3]
    lost.unlink()
    store = Living(root, 12, lambda: write(root, signing.Signer(Ed25519PrivateKey.generate()), 10, 1))
    problems = verify(store, keys=[key]).problems
    assert f"{lost.relative_to(root).as_posix()} is missing" in problems
    assert any("is signed by none of the keys" in each for each in problems)  # the newer entries are not just believed


def test_where_there_is_no_archive_it_says_so(tmp_path):
    [problem] = verify(Folder(tmp_path / "nowhere")).problems
    assert "there is no archive in" in problem


def test_what_is_cut_off_together_with_its_head_needs_a_head_kept_elsewhere(archive):
    root, wanted, key = archive
    (root / "heads" / entry_name(1)).unlink()
    for partition in (0, 1):
        for seq in (4, 5, 6):
            entry(root, seq, partition).unlink()
    assert verify(Folder(root), keys=[key]).problems == []
    assert verify(Folder(root), keys=[key], wanted=wanted[:1]).problems == []
    [problem] = verify(Folder(root), keys=[key], wanted=wanted).problems
    assert wanted[1] in problem


def test_an_archive_made_anew_with_another_key_is_found(archive, tmp_path):
    root, wanted, key = archive
    shutil.rmtree(root)
    other = signing.Signer(Ed25519PrivateKey.generate())
    write(root, other, 0, 5)
    assert len(verify(Folder(root), keys=[key]).problems) == 13
    assert len(verify(Folder(root), keys=[other._key.public_key()], wanted=wanted).problems) == 2


def test_several_processes_put_heads_in_one_chain(tmp_path, signer):
    first, _ = heads.append(Folder(tmp_path), (), "a", signer)
    second, _ = heads.append(Folder(tmp_path), (), "b", None)
    assert [head.previous for head, _ in heads.chain(Folder(tmp_path))] == [None, first]
    assert first != second


def test_the_command(archive, tmp_path, monkeypatch, signer):
    root, wanted, _ = archive
    (tmp_path / "public.pem").write_text(signing.public_pem(signer._key.public_key()))
    monkeypatch.setenv("ARCHIVE_URL", root.as_uri())
    argv = ["archive", "verify", "--key", str(tmp_path / "public.pem"), "--head", wanted[0]]
    done = CliRunner().invoke(app, argv)
    assert (done.exit_code, done.output) == (0, "entries=14 signed=16 files=10 rows=20 heads=2 problems=0\n")
    data_files(root)[0].unlink()
    done = CliRunner().invoke(app, [*argv, "--quick"])
    assert done.exit_code == 1
    assert "is missing\n" in done.output
    assert done.output.endswith("problems=1\n")


def test_a_key_is_made_once_and_read_by_its_owner_alone(tmp_path):
    path = tmp_path / "key.pem"
    done = CliRunner().invoke(app, ["archive", "key", str(path)])
    assert done.output.startswith("-----BEGIN PUBLIC KEY-----")
    assert path.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in done.output
    made = signing.load_signer(path).sign(b'{"a":1}')
    (tmp_path / "public.pem").write_text(done.output)
    public = signing.load_public(tmp_path / "public.pem")
    assert signing.signed_by(made, [public]) == signing.key_id(public)
    assert signing.signed_by(made.replace(b"1", b"2", 1), [public]) is None
    with pytest.raises(NotReady, match="never replaced"):
        signing.make_key(path)
    with pytest.raises(NotReady, match="is not an Ed25519 private key"):
        signing.load_signer(tmp_path / "public.pem")
    (tmp_path / "public.pem").write_text("no key")
    with pytest.raises(NotReady, match="cannot be read as a key"):
        signing.load_public(tmp_path / "public.pem")
