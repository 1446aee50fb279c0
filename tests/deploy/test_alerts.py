"""Alert rules and dashboard: every metric they name is counted, every alert fires on its condition and has a cure."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from ingest.metrics import IngestMetrics
from ops import metrics

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
TESTS = Path(__file__).with_name("alerts.test.yml")
RUNBOOK = ROOT / "docs/runbook.md"
RULES = [
    each
    for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text("utf-8"))["groups"]
    for each in group["rules"]
]
ALERTS = {each["alert"]: each for each in RULES if "alert" in each}
DASHBOARD = json.loads((PROMETHEUS / "dashboard.json").read_text("utf-8"))
OF_PROMETHEUS = {"up"}
OF_THE_LIBRARY = {"process_start_time_seconds"}
WORDS = "changes count histogram_quantile increase max min rate sum vector by offset or unless and on"


def promtool(*arguments: str | Path, page: str = "") -> None:
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed: it comes with Debian's package prometheus, and checks the alert rules")
    done = subprocess.run(["promtool", *map(str, arguments)], input=page, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def expressions() -> dict[str, str]:
    found = {each.get("alert") or each["record"]: each["expr"] for each in RULES}
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    return found


def names(expression: str) -> set[str]:
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|on|without) \([^)]*\)", "", expression)
    return set(re.findall(r"[a-z_][a-z_:0-9]*", re.sub(r"\b[\d.]+(?:e\d+|[smhd])?\b", "", bare))) - set(WORDS.split())


@pytest.mark.parametrize("name", expressions())
def test_every_metric_that_is_named_is_counted(name):
    counted = {sample for room in metrics.rooms().values() for each in room for sample in each.samples}
    recorded = {each["record"] for each in RULES if "record" in each}
    assert names(expressions()[name]) - counted - recorded - OF_PROMETHEUS - OF_THE_LIBRARY == set()
    assert names(expressions()[name])


@pytest.mark.parametrize("name", expressions())
def test_every_label_that_is_named_is_one_the_metric_has(name):
    labels = {
        sample: {*each.labels, "le"} for room in metrics.rooms().values() for each in room for sample in each.samples
    }
    for metric, matchers in re.findall(r"(tocsin_\w+)\{([^}]*)\}", expressions()[name]):
        assert set(re.findall(r"(\w+)[!=]", matchers)) <= labels[metric]


def test_what_the_library_counts_is_there():
    assert {family.name for family in REGISTRY.collect()} >= OF_THE_LIBRARY
    assert "ProcessCollector(registry=registry)" in (ROOT / "ingest/main.py").read_text(
        "utf-8"
    )  # it has one of its own


def test_what_the_rooms_serve_is_as_prometheus_wants_it():
    assert metrics.rooms()  # all inventories are in the registry by now
    registry = CollectorRegistry()
    IngestMetrics(registry)
    promtool("check", "metrics", page=(generate_latest(registry) + generate_latest(REGISTRY)).decode())


def test_the_objective_is_a_bucket():
    bound = re.findall(r'le="([\d.]+)"', json.dumps(RULES).replace("\\", ""))
    assert set(bound) == {"60.0"}
    from sinks.metrics import LATENCY

    assert float(bound[0]) in LATENCY._upper_bounds


@pytest.mark.parametrize(
    "metric",
    [
        "tocsin_ingest_accepted_total",
        "tocsin_group_lag_records",
        "tocsin_group_oldest_seconds",
        "tocsin_sink_webhook_to_delivered_seconds_bucket",
        "tocsin_stream_deduplicated_total",
        "tocsin_stream_api_batch_size_bucket",
        "tocsin_stream_cache_total",
        "tocsin_stream_breaker_open",
        "tocsin_stream_api_calls_left_per_second",
        "tocsin_ingest_spool_events",
        "tocsin_sink_dead_letters_total",
    ],
)
def test_the_dashboard_shows_what_an_operator_must_see(metric):
    shown = {target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())}
    assert any(metric in expression for expression in shown)


def test_prometheus_accepts_the_files(tmp_path):
    promtool("check", "config", PROMETHEUS / "prometheus.yml")
    in_cluster = yaml.safe_load((PROMETHEUS / "kubernetes.yml").read_text("utf-8")) | {"rule_files": []}
    del in_cluster["scrape_configs"][0]["kubernetes_sd_configs"]  # Debian's is built without this discovery
    (tmp_path / "kubernetes.yml").write_text(yaml.safe_dump(in_cluster))
    promtool("check", "config", tmp_path / "kubernetes.yml")
    promtool("check", "rules", PROMETHEUS / "alerts.yml")
    rules = [{"record": f"shown:{number}", "expr": expr} for number, expr in enumerate(expressions().values())]
    (tmp_path / "shown.yml").write_text(yaml.safe_dump({"groups": [{"name": "shown", "rules": rules}]}))
    promtool("check", "rules", tmp_path / "shown.yml")


def test_every_alert_fires_on_its_condition_and_alone():
    promtool("test", "rules", TESTS)


def test_no_alert_is_without_a_test_of_its_condition():
    cases = [(each["name"], each["promql_expr_test"]) for each in yaml.safe_load(TESTS.read_text("utf-8"))["tests"]]
    assert {name for name, _ in cases} == ALERTS.keys()
    for name, (before, *after) in cases:
        assert before["exp_samples"] == []
        assert after
        for one in after:
            assert [each["labels"] for each in one["exp_samples"]] == [f'{{alertname="{name}"}}']


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_what_happened_and_has_a_cure(name):
    annotations = ALERTS[name]["annotations"]
    assert ALERTS[name]["labels"]["severity"] in {"critical", "warning"}
    assert len(annotations["summary"]) > 10
    page, _, anchor = annotations["runbook"].partition("#")
    assert (page, anchor) == ("docs/runbook.md", name.lower())
    entry = RUNBOOK.read_text("utf-8").partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\* \*\*(\w+)\*\*", entry, re.MULTILINE) == ["Symptom", "Check", "Cure"]


def test_the_runbook_has_no_entry_for_what_no_alert_tells():
    assert set(re.findall(r"^## (Tocsin\w+)$", RUNBOOK.read_text("utf-8"), re.MULTILINE)) == ALERTS.keys()
