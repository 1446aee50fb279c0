"""The data folder: one `up` at a time, and one hook for good."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from events.errors import NotReady
from sandbox import folder


def test_second_process_is_told_who_is_there(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from sandbox import folder\n"
        "with folder.taken(Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        assert first.stdout.readline() == "in\n"
        with pytest.raises(NotReady, match=rf"already runs on .* \(process {first.pid}\)"), folder.taken(tmp_path):
            pass
        first.kill()
    with folder.taken(tmp_path):  # a killed one lets go
        assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotReady, match=r"file/data cannot be used"), folder.taken(tmp_path / "file" / "data"):
        pass


def test_hook_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    hook = folder.hook(tmp_path)
    name, token = hook.split("=")
    assert name == "default"
    assert len(token) >= 32
    assert folder.hook(tmp_path) == hook
    assert (tmp_path / "hooks").stat().st_mode & 0o777 == 0o600


def test_hook_that_was_half_made_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "hooks.new").write_text("default=abc")
    assert folder.hook(tmp_path) != "default=abc"


@pytest.mark.parametrize("text", ["", "token-without-name", "name="])
def test_hook_file_that_is_broken_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "hooks").write_text(text)
    with pytest.raises(NotReady, match=r"hooks does not hold name=token"):
        folder.hook(tmp_path)
