"""What a reconcile may be asked, and how its gaps are shown."""

from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

import pytest
from rich.console import Console

from events.errors import NotReady
from ops import reconcile_page
from ops.gaps import Count, Gap, Kind
from ops.mend import remedy
from ops.reconcile import Report

NOW = datetime.now(UTC)


@pytest.mark.parametrize("ago", [timedelta(seconds=30), timedelta(days=14)])
def test_a_span_that_cannot_be_judged_is_one_sentence(ago: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:1")
    with pytest.raises(NotReady, match="--since must be"):
        reconcile_page.run(datetime.now(UTC) - ago, api=False, as_json=False)


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
