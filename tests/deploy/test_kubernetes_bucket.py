"""An archive in a bucket on Kubernetes, set up as deploy/README.md says."""

import re
import shutil
import subprocess

import pytest
import yaml

from sinks.archive.settings import ArchiveSettings
from tests.deploy.test_kubernetes import KUBERNETES, ROOT, SECRETS, container

README = (ROOT / "deploy/README.md").read_text("utf-8")
URL = "s3://bucket/prefix"


def test_without_a_bucket_the_archive_is_on_its_volume(monkeypatch):
    image = (ROOT / "Dockerfile").read_text("utf-8").partition("AS room\n")[2].partition("\nFROM ")[0]
    [data] = re.findall(r"TOCSIN_DATA=(\S+)", image)
    assert not {"ARCHIVE_URL", "TOCSIN_DATA"} & {each["name"] for each in container("archive")["env"]}
    monkeypatch.setenv("TOCSIN_DATA", data)
    assert str(ArchiveSettings(_env_file=None).folder()) in {
        mount["mountPath"] for mount in container("archive")["volumeMounts"]
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return what a cluster is given when somebody does what the page says."""
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed: it puts the manifests together, as a cluster would get them")
    [patches] = re.findall(r"^```yaml\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    [secret] = [yaml.safe_load(said) for said in re.findall(r"`(\{name: tocsin-archive.*?\})`", README)]
    assert f"`ARCHIVE_URL={URL}`" in README
    folder = tmp_path_factory.mktemp("bucket") / "deploy"
    shutil.copytree(KUBERNETES, folder)
    mine = folder / "example/kustomization.yaml"
    ours = yaml.safe_load(mine.read_text("utf-8"))
    ours["configMapGenerator"][0]["literals"].append(f"ARCHIVE_URL={URL}")
    ours["secretGenerator"].append(secret)
    mine.write_text(yaml.safe_dump(ours | yaml.safe_load(patches)))
    keys = "ARCHIVE_S3_ACCESS_KEY_ID=x\nARCHIVE_S3_SECRET_ACCESS_KEY=y\n"
    assert all(line.partition("=")[0] in README for line in keys.splitlines())
    for name, text in (SECRETS | {"archive.env": keys}).items():
        (folder / "example" / name).write_text(text)
    command = ["kubectl", "kustomize", str(folder / "example")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(done.stdout)}


@pytest.mark.parametrize("room", ["archive", "watch"])
def test_who_reads_or_writes_the_archive_is_told_where_it_is_gets_its_keys_and_is_let_out(built, room):
    [one] = built["Deployment", room]["spec"]["template"]["spec"]["containers"]
    given = {}
    for source in one["envFrom"]:
        for kind, place in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if place in source:
                given |= built[kind, source[place]["name"]]["data"]
    given |= {each["name"]: each["value"] for each in one["env"]}
    assert given["ARCHIVE_URL"] == URL
    assert {"ARCHIVE_S3_ACCESS_KEY_ID", "ARCHIVE_S3_SECRET_ACCESS_KEY"} <= given.keys()
    [let_out] = built["NetworkPolicy", "internet"]["spec"]["podSelector"]["matchExpressions"]
    assert room in let_out["values"]
