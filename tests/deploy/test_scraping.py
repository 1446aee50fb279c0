"""How Prometheus finds the pods: by the name of their room, which the alert rules ask for, at the private port alone."""

import re
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
[JOB] = yaml.safe_load((DEPLOY / "prometheus/kubernetes.yml").read_text("utf-8"))["scrape_configs"]
TEMPLATES = {
    each["metadata"]["name"]: each["spec"]["template"]
    for path in (DEPLOY / "kubernetes/base").glob("*.yaml")
    for each in yaml.safe_load_all(path.read_text("utf-8"))
    if each["kind"] in {"Deployment", "StatefulSet", "Job"}
}
RAN_ONCE = {"topics"}


def relabelled(given):
    """Do what Prometheus does with a port it finds, as far as our file asks for it; None where it does not keep it."""
    found = given | {"job": JOB["job_name"]}
    for rule in JOB["relabel_configs"]:
        [source] = rule["source_labels"]
        match = re.fullmatch(rule.get("regex", "(.*)"), found.get(source, ""))
        if rule.get("action") == "keep" and not match:
            return None
        if "target_label" in rule:
            found[rule["target_label"]] = rule.get("replacement", "$1").replace("$1", match[1])
    return found


def discovered(name):
    """Return what the discovery says of each port of a pod."""
    template = TEMPLATES[name]
    about = {"__meta_kubernetes_pod_name": f"{name}-0"}
    for key, value in template["metadata"]["labels"].items():
        about["__meta_kubernetes_pod_label_" + re.sub("[^A-Za-z0-9]", "_", key)] = value
    ports = template["spec"]["containers"][0].get("ports", [{}])
    return [about | {"__meta_kubernetes_pod_container_port_name": port.get("name", "")} for port in ports]


@pytest.mark.parametrize("name", sorted(TEMPLATES.keys() - RAN_ONCE))
def test_a_pod_is_known_by_its_room_and_asked_once(name):
    [kept] = filter(None, map(relabelled, discovered(name)))
    assert (kept["job"], kept["instance"]) == (f"tocsin-{name}", f"{name}-0")


def test_what_runs_once_and_what_is_not_ours_is_not_asked():
    assert [relabelled(each) for name in RAN_ONCE for each in discovered(name)] == [None]
    [ours] = discovered("stream")
    assert relabelled({key: value for key, value in ours.items() if not key.endswith("part_of")}) is None


def test_the_rules_ask_for_jobs_of_that_name():
    alerts = (DEPLOY / "prometheus/alerts.yml").read_text("utf-8")
    matchers = set(re.findall(r"job=~\"([^\"]+)\"", alerts))
    assert matchers == {"tocsin-.+"}
    assert all(re.fullmatch(matcher, f"tocsin-{name}") for matcher in matchers for name in TEMPLATES)
