"""The inventories of metrics: documented as they are, counted by somebody, small in what they tell."""

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from inbox import lag_watch
from inbox.lag import Lag
from ops import metrics
from sinks import metrics as sink_metrics

ROOT = Path(__file__).parents[2]
FOLDERS = {"archive": "sinks/archive", "catch-up": "ops", "watch": "ops"}
INVENTORIES = {"catch-up": "ops/catch_up_metrics.py", "watch": "ops/watch_metrics.py"}
LABELS = {
    "records",
    "hook",
    "reason",
    "target",
    "outcome",
    "status",
    "cause",
    "urgency",
    "group",
    "kind",
    "condition",
    "way",
}


def test_the_page_is_written_from_the_inventories():
    assert (ROOT / "docs/metrics.md").read_text("utf-8") == metrics.reference()


@pytest.mark.parametrize("room", metrics.rooms())
def test_every_metric_is_counted_by_its_room(room):
    folder = ROOT / FOLDERS.get(room, room)
    inventory_at = ROOT / INVENTORIES.get(room, folder / "metrics.py")
    inventory = inventory_at.read_text("utf-8")
    code = "".join(path.read_text("utf-8") for path in folder.rglob("*.py") if path != inventory_at) + inventory
    names = re.findall(r"^(?:        self\.)?(\w+) = (?:Counter|Gauge|Histogram|Seconds)\(", inventory, re.MULTILINE)
    assert len(names) == len(metrics.rooms()[room])
    assert [
        name
        for name in names
        if not re.search(rf"\b(?:self|metrics)\.{name}\b|^ +{name}\.|^_\w.* = .*\b{name}\.labels\b", code, re.MULTILINE)
    ] == []


def test_labels_are_names_and_kinds_and_never_what_an_outsider_writes():
    found = {label for room in metrics.rooms().values() for each in room for label in each.labels}
    assert found <= LABELS


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("malformed: not JSON", "malformed"),
        ("HTTP 413: too large", "http_413"),
        ("SMTP 550: no such user", "smtp_550"),
        ("the card has no room", "other"),
        ("HTTP nonsense", "other"),
    ],
)
def test_a_dead_letter_is_counted_by_what_buried_it(reason, cause):
    assert sink_metrics.cause(reason) == cause


def test_how_long_it_took_is_kept_by_urgency():
    sink_metrics.told("soc", 45.0, urgent=True)
    sink_metrics.told("soc", 4000.0, urgent=False)

    def within(le: str, urgency: str) -> float | None:
        labels = {"target": "soc", "urgency": urgency, "le": le}
        return REGISTRY.get_sample_value("tocsin_sink_webhook_to_delivered_seconds_bucket", labels)

    assert (within("60.0", "urgent"), within("30.0", "urgent")) == (1, 0)
    assert (within("60.0", "other"), within("21600.0", "other")) == (0, 1)


def test_a_group_that_is_gone_leaves_the_lag():
    lag_watch.show([Lag("stream", 7, 3.5), Lag("soc", 0, None)])
    assert REGISTRY.get_sample_value("tocsin_group_lag_records", {"group": "stream"}) == 7
    assert REGISTRY.get_sample_value("tocsin_group_oldest_seconds", {"group": "soc"}) == 0
    lag_watch.show([Lag("stream", 0, None)])
    assert REGISTRY.get_sample_value("tocsin_group_lag_records", {"group": "soc"}) is None
