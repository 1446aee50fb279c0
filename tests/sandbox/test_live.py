"""The live line: counters read, added up over restarts, turned into rates, and written into the width there is."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, generate_latest

from sandbox.live import STEPS, Flow, Rate, Totals, line, scrape

PAGE = """\
# HELP tocsin_stream_enriched_total Enriched records written.
# TYPE tocsin_stream_enriched_total counter
tocsin_stream_enriched_total{status="complete"} 7.0
tocsin_stream_enriched_total{status="pending"} 2.0
# TYPE tocsin_stream_marks gauge
tocsin_stream_marks 9.0
"""


def enriched(**by_status: float) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {("tocsin_stream_enriched_total", (("status", name),)): value for name, value in by_status.items()}


def test_scrape_takes_the_counters_of_the_line_only() -> None:
    assert scrape(PAGE) == enriched(complete=7, pending=2)


def test_scrape_reads_what_the_client_library_writes() -> None:
    registry = CollectorRegistry()
    Counter("tocsin_ingest_accepted", "x", ["hook"], registry=registry).labels("default").inc(3)
    page = generate_latest(registry).decode()
    assert scrape(page) == {("tocsin_ingest_accepted_total", (("hook", "default"),)): 3}


def test_scrape_counts_deliveries_that_a_person_can_see() -> None:
    page = "\n".join(
        f'tocsin_sink_delivered_total{{target="teams",outcome="{outcome}"}} 1'
        for outcome in ("delivered", "accepted", "dead_letter", "muted")
    )
    totals = Totals()
    totals.take("sink", scrape(page + "\n"))
    assert totals.of("delivered") == 2


def test_scrape_refuses_what_is_no_metrics_page() -> None:
    with pytest.raises(ValueError, match=r".+"):
        scrape("<html>nothing here</html>\n")


def test_totals_survive_a_restart() -> None:
    totals = Totals()
    for complete in (5, 9, 0, 2):  # killed after nine
        totals.take("stream", enriched(complete=complete))
    assert totals.of("enriched") == 11


def test_totals_survive_a_restart_that_has_not_counted_yet() -> None:
    totals = Totals()
    totals.take("stream", enriched(complete=5))
    totals.take("stream", {})
    totals.take("stream", enriched(complete=6))
    assert totals.of("enriched") == 11


def test_rooms_do_not_reset_each_other() -> None:
    totals = Totals()
    totals.take("a", enriched(complete=5))
    totals.take("b", enriched(complete=1))
    totals.take("a", enriched(complete=6))
    assert totals.of("enriched") == 7


@given(st.lists(st.lists(st.integers(0, 50), min_size=1), min_size=1))
def test_totals_are_the_sum_of_all_lives(lives: list[list[int]]) -> None:
    """Scraped at its start (zero) and after every step, a counter's total is what all its lives counted."""
    totals, counted = Totals(), 0
    for life in lives:
        value = 0
        totals.take("stream", enriched(complete=0))
        for step in life:
            value += step
            totals.take("stream", enriched(complete=value))
        counted += value
    assert totals.of("enriched") == counted


def test_rate_looks_back_a_few_seconds_only() -> None:
    rate = Rate()
    assert rate.at(0, 100) == 0
    assert rate.at(2, 110) == 5
    assert [rate.at(second, 110) for second in range(3, 14)][-1] == 0


FLOW = Flow(
    totals=dict(zip(STEPS, (12345, 2460, 9885, 9884, 9880, 0), strict=True)),
    rates=dict(zip(STEPS, (12.4, 2.46, 0, 9.9, 10, 0), strict=True)),
    lag={"stream": 0, "teams": 1, "archive": None},
)


def test_line_in_full() -> None:
    assert line(FLOW) == (
        "accepted 12,345 (12/s)  deduplicated 2,460 (2.5/s)  enriched 9,885 (0/s)  delivered 9,884 (9.9/s)  "
        "archived 9,880 (10/s)  lag stream 0 teams 1 archive ?"
    )


def test_line_of_eighty_columns_says_it_all_without_rates() -> None:
    assert line(FLOW, 80) == "in 12,345 dup 2,460 enriched 9,885 delivered 9,884 archived 9,880 lag 0/1/?"


def test_line_shows_dead_letters_where_there_are_some() -> None:
    assert "dead" not in line(FLOW)
    assert "dead letters 3 (0/s)  lag" in line(replace(FLOW, totals={**FLOW.totals, "dead letters": 3}))


@pytest.mark.parametrize("width", range(20, 160))
def test_line_never_wraps(width: int) -> None:
    assert len(line(FLOW, width)) <= width
