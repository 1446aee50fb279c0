"""Every figure of the pipeline page is one that a room really counts."""

import re
from pathlib import Path

import pytest

from inbox.figures import _SHOWN, figures, scrape

ROOT = Path(__file__).parents[2]
COUNTED = set()
for room in ("ingest", "stream", "sinks"):
    for source in (ROOT / room).rglob("*.py"):
        COUNTED |= {name.removesuffix("_total") for name in re.findall(r'"(tocsin_[a-z_]+)"', source.read_text())}


@pytest.mark.parametrize("shown", _SHOWN, ids=lambda each: each.metric)
def test_what_is_shown_is_counted(shown):
    assert shown.metric.removesuffix("_total") in COUNTED


def test_a_breaker_that_is_open_is_wrong_and_names_its_entry():
    found = figures({"tocsin_stream_breaker_open": 1.0, "tocsin_stream_api_calls_left_per_second": 3.25}, None, 0.0)
    assert [(each.value, each.entry, each.bad) for each in found] == [
        ("3.2 /s", "", False),
        ("open", "tocsinalertapibreakeropen", True),
    ]


def test_the_spool_that_workers_share_is_counted_once_and_what_each_took_is_added_up():
    page = "".join(
        f'{name}{{worker="{number}"}} 3.0\n'
        for name in ("tocsin_ingest_spool_events", "tocsin_ingest_accepted_total")
        for number in range(2)
    )
    assert scrape(page) == {"tocsin_ingest_spool_events": 3.0, "tocsin_ingest_accepted_total": 6.0}
