"""Where the archive is, and one sentence for what is no folder."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from events.errors import NotReady
from sinks.archive.settings import ArchiveSettings


def settings(**values) -> ArchiveSettings:
    return ArchiveSettings(**values, _env_file=None)


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("file:///srv/archive", "/srv/archive"),
        ("file://localhost/srv/archive", "/srv/archive"),
        ("FILE:///srv/a%20b%23c", "/srv/a b#c"),
        ("file:///srv/arch%C3%A9", "/srv/arché"),
    ],
)
def test_a_folder(url, root):
    assert settings(url=url).root() == Path(root)


def test_by_default_beside_all_other_data(monkeypatch, tmp_path):
    assert settings().root() == tmp_path / "data" / "archive"
    monkeypatch.setenv("TOCSIN_DATA", "/var/lib/tocsin")
    assert settings().root() == Path("/var/lib/tocsin/archive")


@pytest.mark.parametrize("scheme", ["s3", "S3", "s3a", "gs", "az", "abfs", "https"])
def test_object_storage_is_told_apart_from_a_mistake(scheme):
    with pytest.raises(NotReady, match="of S3-compatible storage"):
        settings(url=f"{scheme}://bucket/archive").root()


@pytest.mark.parametrize(
    "url",
    [
        "/srv/archive",
        "srv/archive",
        "file:srv/archive",
        "file://srv/archive",
        "file://",
        "ftp://host/archive",
        "file:///srv/a#b",
        "file:///srv/a?b",
        "file:///srv/a%00b",
        "file://[",
        "https://[",
    ],
)
def test_what_is_no_folder_is_one_sentence(url):
    with pytest.raises(NotReady, match=r"^ARCHIVE_URL is not the address of a folder.*file:///"):
        settings(url=url).root()


@pytest.mark.parametrize(
    "wrong", [{"flush_every": "0s"}, {"flush_every": "soon"}, {"flush_records": 0}, {"flush_bytes": 0}]
)
def test_limits_that_would_never_or_always_close_a_file(wrong):
    with pytest.raises(ValidationError):
        settings(**wrong)
