"""A `.env` file changed in place: what is written is what is read, everything else stays, and never half of it."""

import io
import stat

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from events.errors import NotReady
from ops import env_file

NAMES = st.sampled_from(["SEKOIA_API_KEY", "TEAMS_WEBHOOK_URL", "INGEST_HOOKS", "OTHER", "A"])
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1).filter(lambda text: "${" not in text)
LINES = st.lists(
    st.one_of(
        st.builds("{}={}\n".format, NAMES, st.text(st.characters(categories=["L", "N"]), min_size=1)),
        st.builds("export {}='a b'\n".format, NAMES),
        st.builds("{}='two\nlines'\n".format, NAMES),
        st.builds("#{}=\n".format, NAMES),
        st.sampled_from(["\n", "# a comment\n", "  # another\r\n"]),
    )
).map("".join)


def names(folder) -> list[str]:
    return [path.name for path in folder.iterdir()]


@given(LINES, st.dictionaries(NAMES, VALUES))
def test_what_is_written_is_read_and_the_rest_stays(text, settings):
    new = env_file.changed(text, settings)
    before, after = dotenv_values(stream=io.StringIO(text)), dotenv_values(stream=io.StringIO(new))
    assert after == before | settings
    comments = [line for line in text.splitlines() if line.lstrip().startswith("#")]
    assert [line for line in new.splitlines() if line.lstrip().startswith("#")] == comments
    assert env_file.changed(new, settings) == new


def test_a_setting_keeps_its_place_and_is_said_once():
    text = "# mine\nA=1\nexport B=2\nA=3\nC=4"
    assert env_file.changed(text, {"A": "x", "D": "a b"}) == "# mine\nA=x\nexport B=2\nC=4\nD='a b'\n"


def test_a_value_the_format_cannot_hold_is_refused_without_repeating_it():
    with pytest.raises(NotReady, match="the value of KEY cannot be written") as caught:
        env_file.changed("", {"KEY": "se${HOME}cret"})
    assert "cret" not in str(caught.value)


def test_only_the_owner_reads_it_whatever_it_was(tmp_path):
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    path.chmod(0o644)
    env_file.write(path, "A=2\n")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("A=2\n", 0o600)
    assert names(tmp_path) == [".env"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("A=1\n")
    (tmp_path / ".env").symlink_to("real")
    env_file.write(tmp_path / ".env", "A=2\n")
    assert (tmp_path / ".env").is_symlink()
    assert (tmp_path / "real").read_text() == "A=2\n"


def test_a_crash_at_the_last_moment_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / ".env"
    path.write_text("A=1\n")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        env_file.write(path, "A=2\n")
    assert (path.read_text(), names(tmp_path)) == ("A=1\n", [".env"])


def test_a_file_or_folder_that_cannot_be_used_is_one_sentence(tmp_path):
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    with pytest.raises(NotReady, match="cannot be read as text"):
        env_file.read(tmp_path / ".env")
    with pytest.raises(NotReady, match="cannot be written"):
        env_file.write(tmp_path / "nowhere" / ".env", "A=1\n")
