"""The Kubernetes manifests: right by the published schemas, whole, without rights, and in step with the code."""

import base64
import http.server
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from inbox.settings import InboxSettings
from ingest import workers
from ingest.settings import IngestSettings
from ops import settings
from ops.catch_up_settings import CatchUpSettings
from ops.cli import app
from ops.watch_settings import WatchSettings
from sinks import rules_file, rules_remarks
from sinks.archive.settings import ArchiveSettings
from sinks.settings import SinksSettings
from stream.settings import StreamSettings

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
BASE, EXAMPLE = KUBERNETES / "base", KUBERNETES / "example"
VERSIONS = ("1.30", "1.33", "1.37")
Manifest = dict[str, Any]
ROOMS = {
    "ingest": IngestSettings,
    "stream": StreamSettings,
    "sinks": SinksSettings,
    "archive": ArchiveSettings,
    "inbox": InboxSettings,
    "watch": WatchSettings,
    "catch-up": CatchUpSettings,
}
FILES = sorted(path for folder in (BASE, EXAMPLE) for path in folder.glob("*.yaml"))
ALL = [
    (path, each)
    for path in FILES
    for each in yaml.safe_load_all(path.read_text("utf-8"))
    if path.stem != "kustomization"
]
SECRETS = {
    "kafka.env": "KAFKA_SASL_USERNAME=tocsin\nKAFKA_SASL_PASSWORD=x\n",
    "sekoia.env": "SEKOIA_API_KEY=x\n",
    "hooks.env": "INGEST_HOOKS=sekoia=a-token-of-the-test\n",
    "targets.env": "TEAMS_WEBHOOK_URL=https://example.invalid/x\nSMTP_PASSWORD=x\n",
}


KNOWN = {each for model in settings.MODELS for each in settings.names(model)} | {"LOG_LEVEL", "LOG_FORMAT"}


def kinds(*wanted: str) -> dict[str, Manifest]:
    return {each["metadata"]["name"]: each for _, each in ALL if each["kind"] in wanted}


WORKLOADS = kinds("Deployment", "StatefulSet", "Job")
LASTING = kinds("Deployment", "StatefulSet")


def pod(name: str) -> Manifest:
    return WORKLOADS[name]["spec"]["template"]["spec"]


def container(name: str) -> Manifest:
    [one] = pod(name)["containers"]
    return one


def labels(name: str) -> dict[str, str]:
    return WORKLOADS[name]["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_right_by_the_schemas(version):
    assert len(ALL) > 25
    for _, each in ALL:
        kubernetes_validate.validate(each, version, strict=True)


def test_the_schemas_find_a_slip_of_the_fingers():
    wrong = kinds("Deployment")["stream"] | {"spec": kinds("Deployment")["stream"]["spec"] | {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_no_manifest_is_left_out():
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text("utf-8"))["resources"]
    assert sorted(listed) == sorted(path.name for path in BASE.glob("*.yaml") if path.stem != "kustomization")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> list[Manifest]:
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed: it puts the manifests together, as a cluster would get them")
    folder = tmp_path_factory.mktemp("kubernetes") / "deploy"
    shutil.copytree(KUBERNETES, folder)
    for name, text in SECRETS.items():
        (folder / "example" / name).write_text(text)
    command = ["kubectl", "kustomize", str(folder / "example")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.parametrize("version", VERSIONS)
def test_what_kustomize_makes_is_right_and_whole(built, version):
    for each in built:
        kubernetes_validate.validate(each, version, strict=True)
    there = {(each["kind"], each["metadata"]["name"]) for each in built}
    for each in built:
        if each["kind"] in {"Deployment", "StatefulSet", "Job"}:
            assert set(_named(each["spec"]["template"]["spec"])) <= there
            image = each["spec"]["template"]["spec"]["containers"][0]["image"]
            assert re.fullmatch(r"registry\.example\.org/tocsin-\w+:\d+\.\d+\.\d+", image)
    secrets = {name for each in built if each["kind"] == "Secret" for name in each["data"]}
    assert secrets == set(re.findall(r"^(\w+)=", "".join(SECRETS.values()), re.MULTILINE))
    [hooks] = [each["data"] for each in built if each["metadata"]["name"].startswith("tocsin-hooks")]
    assert base64.b64decode(hooks["INGEST_HOOKS"]) == b"sekoia=a-token-of-the-test"


def test_what_is_changed_is_taken_over(built):
    """A changed setting or secret has another name, so pods are replaced; a Job, which cannot be changed, is gone by then."""
    for kind, stem in (("ConfigMap", "tocsin-settings"), ("Secret", "tocsin-kafka")):
        [name] = [
            each["metadata"]["name"] for each in built if each["kind"] == kind and stem in each["metadata"]["name"]
        ]
        assert re.fullmatch(rf"{stem}-[a-z0-9]{{10}}", name)
    jobs = [each for each in built if each["kind"] == "Job"]
    assert [0 < each["spec"]["ttlSecondsAfterFinished"] <= 300 for each in jobs] == [True]


def _named(spec: Manifest) -> Iterator[tuple[str, str]]:
    for source in spec["containers"][0].get("envFrom", ()):
        for kind, place in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if place in source and not source[place].get("optional"):
                yield kind, source[place]["name"]
    for volume in spec.get("volumes", ()):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]


def test_every_room_runs_and_only_ingest_has_a_place_of_its_own():
    assert LASTING.keys() == ROOMS.keys()
    assert [name for name, each in LASTING.items() if each["kind"] == "StatefulSet"] == ["ingest"]
    assert kinds("PodDisruptionBudget").keys() == ROOMS.keys()


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_has_no_rights(name):
    assert pod(name)["automountServiceAccountToken"] is False
    about = pod(name)["securityContext"]
    assert (about["runAsNonRoot"], about["runAsUser"]) == (True, 10001)
    assert about["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container(name)["resources"]["limits"]["memory"]
    assert {"hostNetwork", "hostPID", "hostIPC"} & pod(name).keys() == set()


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_is_told_nothing_by_the_services_beside_it(name):
    """For each Service the cluster sets NAME_PORT=tcp://…, and one of those names is a setting of ours."""
    assert "INGEST_PORT" in settings.names(IngestSettings)
    assert pod(name)["enableServiceLinks"] is False


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_gets_only_settings_the_code_knows_and_writes_where_a_volume_is(name):
    given = {each["name"]: each["value"] for each in container(name).get("env", ())}
    assert set(given) <= KNOWN
    mounts = [mount["mountPath"] for mount in container(name)["volumeMounts"]]
    for path in (value.removeprefix("file://") for value in given.values() if value.removeprefix("file://")[0] == "/"):
        assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts), path
    volumes = {volume["name"] for volume in pod(name).get("volumes", ())}
    volumes |= {claim["metadata"]["name"] for claim in WORKLOADS[name]["spec"].get("volumeClaimTemplates", ())}
    assert {mount["name"] for mount in container(name)["volumeMounts"]} == volumes


def test_what_every_pod_is_given_are_settings_the_code_knows():
    for folder in (BASE, EXAMPLE):
        text = (folder / "kustomization.yaml").read_text("utf-8")
        [given] = [each for each in yaml.safe_load(text)["configMapGenerator"] if each["name"] == "tocsin-settings"]
        assert {line.partition("=")[0] for line in given["literals"]} <= KNOWN


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_runs_a_command_that_exists_from_an_image_that_is_built(name):
    done = CliRunner().invoke(app, [*container(name)["args"], "--help"])
    assert done.exit_code == 0, done.output
    room = container(name)["image"].removeprefix("tocsin-")
    assert f"FROM room AS {room}\n" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("name", ROOMS)
def test_a_pod_is_probed_where_the_room_answers(name):
    ports = {port["name"]: port["containerPort"] for port in container(name)["ports"]}
    model = ROOMS[name]
    assert ports["private"] == model.model_fields["admin_port"].default
    prefix = model.model_config["env_prefix"]
    assert {"name": f"{prefix}ADMIN_HOST", "value": "0.0.0.0"} in container(name)["env"]
    assert container(name)["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": "private"}
    for probe in ("livenessProbe", "startupProbe"):  # a restart does not bring Kafka back
        assert container(name)[probe]["tcpSocket"] == {"port": "private"}
    annotations = LASTING[name]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(ports["private"])


def test_selectors_find_pods():
    found = [labels(name) for name in WORKLOADS]
    for _, each in ALL:
        spec = each.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector"))
        if selector is None or each["kind"] == "PersistentVolumeClaim":
            continue
        wanted = selector if each["kind"] == "Service" else selector.get("matchLabels", {})
        assert any(wanted.items() <= pod_labels.items() for pod_labels in found), each["metadata"]["name"]
        for expression in selector.get("matchExpressions", ()):
            assert set(expression["values"]) <= {pod_labels[expression["key"]] for pod_labels in found}


SERVICES = {
    f"http://{name}:{each['spec']['ports'][0]['port']}" for name, each in kinds("Service").items() if "-private" in name
}


@pytest.mark.parametrize(
    ("name", "model", "others"),
    [
        ("inbox", InboxSettings, {"inbox", "watch", "catch-up"}),
        ("catch-up", InboxSettings, {"inbox", "watch", "catch-up"}),
        ("watch", WatchSettings, {"watch"}),
    ],
)
def test_who_asks_the_rooms_finds_them(name, model, others):
    [rooms] = [each["value"] for each in container(name)["env"] if each["name"].endswith("_ROOMS")]
    found = set(model(rooms=rooms, _env_file=None).room_addresses().values())
    assert found == {each for each in SERVICES if each.split("/")[2].partition("-private")[0] not in others}


def test_who_asks_the_rooms_gets_through_and_hears_of_every_process():
    """By both policies, out and in, and of those that are not ready too."""
    asking = ["inbox", "watch", "catch-up"]
    chosen = {"matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "In", "values": asking}]}
    policies = kinds("NetworkPolicy")
    assert policies["who-asks-the-rooms"]["spec"]["podSelector"] == chosen
    assert {"podSelector": chosen} in policies["private-ports"]["spec"]["ingress"][0]["from"]
    for name, each in kinds("Service").items():
        if "-private" in name:
            assert (each["spec"]["clusterIP"], each["spec"]["publishNotReadyAddresses"]) == ("None", True)


@pytest.mark.parametrize("name", ["watch", "catch-up"])
def test_there_is_one_of_what_would_tell_or_feed_twice_and_it_remembers(name):
    spec = LASTING[name]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    [data] = [each["value"] for each in container(name)["env"] if each["name"] == "TOCSIN_DATA"]
    [mount] = [each["name"] for each in container(name)["volumeMounts"] if each["mountPath"] == data]
    assert {"name": mount, "persistentVolumeClaim": {"claimName": name}} in pod(name)["volumes"]


def test_nothing_is_open_but_what_is_named():
    policies = kinds("NetworkPolicy")
    everybody = {"matchLabels": {"app.kubernetes.io/part-of": "tocsin"}}
    assert policies["nothing-else"]["spec"] == {"podSelector": everybody, "policyTypes": ["Ingress", "Egress"]}
    doors = {name: each["spec"].get("ingress", ()) for name, each in policies.items()}
    assert {name for name, rules in doors.items() if rules} == {"private-ports", "webhooks"}
    assert all(rule["from"] and rule["ports"] for rules in doors.values() for rule in rules)
    outside = [
        peer for each in policies.values() for rule in each["spec"].get("egress", ()) for peer in rule.get("to", ())
    ]
    blocks = [peer["ipBlock"] for peer in outside if "ipBlock" in peer]
    assert all(each["cidr"] == "2000::/3" or "10.0.0.0/8" in each["except"] for each in blocks)


def test_the_rules_can_be_read_and_more_than_one_target_hears_of_the_pipeline():
    given = dict(line.split("=", 1) for line in SECRETS["targets.env"].splitlines())
    path = EXAMPLE / "tocsin.yml"
    assert rules_remarks.few_hear(rules_file.read(path, given)) == ""
    plain = kinds("ConfigMap")["tocsin-rules"]["data"]["tocsin.yml"]  # of the base, which nobody applies alone
    assert list(rules_file.parse(plain, "settings.yaml", given).targets) == ["teams"]


class Page(http.server.BaseHTTPRequestHandler):
    """The metrics of an ingest whose spool is drained while it is looked at."""

    left: ClassVar = [3.0, 0.0]

    def do_GET(self) -> None:
        page = f"# TYPE tocsin_ingest_spool_events gauge\ntocsin_ingest_spool_events {self.left.pop(0)}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        pass


def test_ingest_leaves_only_when_its_spool_is_empty():
    python, option, script = container("ingest")["lifecycle"]["preStop"]["exec"]["command"]
    assert (python, option) == ("python", "-c")
    grace = pod("ingest")["terminationGracePeriodSeconds"]
    assert grace >= 5 + 60 + workers.STOP_WITHIN
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        port = str(IngestSettings().admin_port)
        assert port in script
        here = script.replace(port, str(server.server_port)).replace("time.sleep(5)", "").replace("time.sleep(1)", "")
        subprocess.run([sys.executable, "-c", here], check=True, timeout=30)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert Page.left == []
