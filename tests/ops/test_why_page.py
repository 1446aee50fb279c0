"""How a life looks on a screen of 80 columns."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from events.codec import encode
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from events.settings import KafkaSettings
from ops import life, why, why_page
from ops.life import Event
from ops.life_targets import Told
from ops.why import Life
from sinks.archive.manifest import BrokenManifest

NOW = datetime(2026, 7, 29, 8, 0, tzinfo=UTC)
UUID = "0f4ae8a5-0b3c-4f86-a3a1-8d2f6c0d6b11"


def revision(offset: int, file: str | None) -> life.Revision:
    event = EnrichedEvent(
        event_id="c/1",
        received_at=NOW,
        event=WebhookEvent(type="alert", action="created", attributes={"uuid": UUID}),
        enrichment=Enrichment(status="pending", reason="\x1b[2Jbreaker open"),
    )
    record = SimpleNamespace(
        topic="enriched", partition=3, offset=offset, timestamp=1785312002500, key=b"", value=encode(event), headers=()
    )
    found = life.revision(record, file)
    assert found
    return found


def page(found: Life, capsys: pytest.CaptureFixture[str]) -> str:
    why_page.show(found, Console(highlight=False, width=80))
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "\x1b[2J" not in said
    return " ".join(said.split())


@pytest.mark.parametrize(
    ("offset", "file", "said"),
    [
        (5, "enriched/a.parquet", "enriched/a.parquet"),
        (5, None, "IN NONE OF ITS FILES"),
        (9, None, "not there yet"),
    ],
)
def test_where_the_archive_has_it(capsys: pytest.CaptureFixture[str], offset: int, file: str | None, said: str) -> None:
    found = Life(UUID, "as given", archived_to=9, events=[Event("c/1", revisions=[revision(offset, file)])])
    assert f"archive {'- ' if not file else ''}{said}" in page(found, capsys)


def test_what_a_target_did_is_said_in_one_line_and_what_is_worrying_aloud(capsys: pytest.CaptureFixture[str]) -> None:
    told = [
        Told("soc", 0, "accepted", "j1", NOW, 1.25, "HTTP 202", 3, ("urgent",), "ab" * 32, "D7", twice="two receipts"),
        Told("mail", 1, "not matched", why=["cases: not type: case"]),
        Told(
            "chat", 0, "tried again", next_at=NOW + timedelta(seconds=9), why=["4 attempts failed, the last: \x1b[2J"]
        ),
    ]
    found = Life(UUID, "as given", "A title", events=[Event("c/1", revisions=[revision(5, None)])], told={"c/1": told})
    said = page(found, capsys)
    for words in (
        "accepted; sent again by job j1; 1.2 s after it came; 3 attempts; HTTP 202; in digest D7; by urgent",
        "not today's file",
        "MAY HAVE BEEN SHOWN TWICE: two receipts",
        "not matched (revision 1)",
        "because cases: not type: case",
        "tried again",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("error", "said"),
    [(BrokenManifest("entry 2 is missing"), "cannot be believed"), (OSError("S3 error"), "cannot be read")],
)
def test_an_archive_that_cannot_be_read_is_a_note_and_kafka_tells_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, said: str
) -> None:
    async def with_or_without(_kafka: KafkaSettings, text: str, _since: None, sources: why.Sources) -> Life:
        if sources.root:
            raise error
        return Life(text, "as given", notes=sources.notes)

    monkeypatch.setattr(why, "_look", with_or_without)
    kafka = KafkaSettings(bootstrap_servers="localhost:1")
    (note,) = asyncio.run(why.look(kafka, UUID, None, why.Sources(tmp_path))).notes
    assert note.startswith("the archive is not looked into: ")
    assert said in note
    monkeypatch.setattr(why, "_look", lambda *_: _failing(error))
    with pytest.raises(type(error)):  # without an archive it is no error of one
        asyncio.run(why.look(kafka, UUID, None, why.Sources()))


async def _failing(error: Exception) -> Life:
    raise error
