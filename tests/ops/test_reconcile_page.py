"""What a reconcile may be asked, and how its gaps are shown."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

import pytest
from rich.console import Console

from events.errors import NotReady
from ops import catch_up_delay, reconcile_page
from ops.gaps import Count, Gap, Kind
from ops.mend import remedy
from ops.reconcile import Asked, Report

NOW = datetime.now(UTC)


@pytest.mark.parametrize("ago", [timedelta(seconds=30), timedelta(days=14)])
def test_a_span_that_cannot_be_judged_is_one_sentence(ago: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:1")
    with pytest.raises(NotReady, match="--since must be"):
        reconcile_page.run(datetime.now(UTC) - ago, api=False, as_json=False)


@pytest.mark.parametrize(("here", "elsewhere", "late"), [(0, 0, 15), (0, 40, 45), (50, 0, 55)])
def test_what_a_spool_holds_is_not_said_to_be_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], here: int, elsewhere: int, late: int
) -> None:
    asked: list[Asked] = []
    now = datetime.now(UTC)  # not that of the collection, which is a whole run of tests ago

    async def answers(*_given: object) -> Any:
        return [{"spool": {"oldest": (now - timedelta(minutes=elsewhere)).isoformat()}}] if elsewhere else []

    async def nothing(*_given: object) -> timedelta:
        return timedelta(0)

    async def compared(_kafka: object, given: Asked, _progress: object) -> Report:
        asked.append(given)
        return Report(given.since, given.until)

    @asynccontextmanager
    async def api(*_given: object) -> AsyncIterator[object]:
        yield object()

    monkeypatch.setattr(catch_up_delay.private_ports, "health", answers)
    monkeypatch.setattr(catch_up_delay, "_lag", nothing)
    monkeypatch.setattr(reconcile_page, "reconcile", compared)
    monkeypatch.setattr(reconcile_page, "alert_api", api)
    oldest = now - timedelta(minutes=here) if here else None
    monkeypatch.setattr(reconcile_page.spool_look, "oldest", lambda *_given: (3 * bool(here), oldest))
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:1")
    monkeypatch.setenv("SEKOIA_API_KEY", "k")
    assert reconcile_page.run(now - timedelta(days=1), api=True, as_json=False) == 0
    assert timedelta(0) <= asked[0].delay - timedelta(minutes=late) < timedelta(minutes=1)
    said = " ".join(capsys.readouterr().out.split())
    assert ("are not judged: the stream or a spool is that late" in said) == (late > 15)


def test_many_gaps_are_counted_and_some_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    gaps = [Gap("lost receipt", f"enriched/3/{n}", f"c/{n}", "u\x1b[2J", "soc", NOW) for n in range(30)]
    report = Report(NOW, NOW, targets={"soc": Count(40, 10, 0)}, gaps=gaps, archive=Count(40, 38, 0))
    report.gaps.append(Gap("lost archive file", "enriched/a.parquet", target="archive"))
    reconcile_page.show(report, Console(highlight=False, width=80))
    said = capsys.readouterr().out
    assert "lost receipt (30)" in said
    assert "enriched/3/19" in said
    assert "enriched/3/20" not in said
    assert "and 10 more; --json names all" in said
    assert "31 unaccounted for" in said
    since = f"{NOW - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    words = " ".join(said.split())
    assert f"what to do: `tocsin replay --to soc --since {since}`" in words
    assert "what to do: bring the file back" in words
    assert "\x1b[2J" not in said
    assert max(map(len, said.splitlines())) <= 80


def test_there_is_something_to_do_about_each_kind_of_gap() -> None:
    local = datetime(2026, 7, 29, 12, tzinfo=timezone(timedelta(hours=2)))
    for kind in get_args(Kind):
        said = remedy(kind, [Gap(kind, "p", target="soc", at=local), Gap(kind, "p", target="mail")])
        assert said
        assert "{" not in said
        assert "2026-07-29T09:00:00Z" in said or "--mend" in said or "backup" in said
        assert "--to soc" not in said
    assert "--since TIME" in remedy("lost webhook", [])
