"""The pinned jars: what is on disk is what the list says, whatever the network or a killed process left there."""

import hashlib
import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from events.errors import NotReady
from sandbox import jars
from sandbox.jars import Jar

CONTENT = b"PK" + bytes(range(256)) * 40
JAR = Jar(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "org.example.kafka:kafka_2.13:4.1.9")
ROUTE = "/org/example/kafka/kafka_2.13/4.1.9/kafka_2.13-4.1.9.jar"


class Remote(http.server.ThreadingHTTPServer):
    """A Maven repository that serves one jar, as scripted: each body once, the last one for ever."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies = [CONTENT]
        self.asked: list[str] = []

    def body(self) -> bytes:
        return self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Remote

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path != ROUTE:
            self.send_error(404)
            return
        body = self.server.body()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Remote]:
    server = Remote()
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("JAVA_HOME", "")
    monkeypatch.setattr(jars, "pinned", lambda *_: [JAR])
    monkeypatch.setattr(jars, "KAFKA", "org.example.kafka:kafka_2.13")
    with jars._maven():
        from jgo.maven import _core

    monkeypatch.setitem(_core.DEFAULT_REMOTE_REPOS, "central", f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_list_names_one_kafka_with_a_log_and_no_jar_twice():
    listed = jars.pinned()
    assert len({jar.coordinate for jar in listed}) == len(listed) > 40
    assert all(len(jar.sha256) == 64 and int(jar.sha256, 16) and jar.size > 1000 for jar in listed)
    versions = {jar.version for jar in listed if jar.coordinate.startswith("org.apache.kafka:")}
    assert len(versions) == 1
    assert versions.pop().startswith("4.1.")
    assert any(":log4j-slf4j-impl:" in jar.coordinate for jar in listed)


@pytest.mark.parametrize("spoilt", [CONTENT[:-1], CONTENT[:-1] + b"?", b""])
def test_a_jar_is_known_by_all_of_its_bytes(tmp_path, spoilt):
    path = tmp_path / "a.jar"
    assert not JAR.is_at(path)
    path.write_bytes(spoilt)
    assert not JAR.is_at(path)
    path.write_bytes(CONTENT)
    assert JAR.is_at(path)


def test_a_missing_jar_is_fetched_once_and_then_only_verified(remote, tmp_path, capsys):
    [path] = jars.classpath()
    assert path.read_bytes() == CONTENT
    assert path == tmp_path / "m2" / ROUTE[1:]
    assert jars.classpath() == [path]
    assert remote.asked.count(ROUTE) == 1
    assert "Downloading Apache Kafka 4.1.9 (1 jars, 0 MB)" in capsys.readouterr().err
    assert os.environ["JAVA_HOME"].endswith("java-runtime")
    assert [each.name for each in (tmp_path / "m2").iterdir()] == ["org"]  # nothing else is left behind


def test_a_truncated_jar_on_disk_is_replaced(remote, tmp_path):
    path = JAR.path(tmp_path / "m2")
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[:500])
    assert jars.classpath() == [path]
    assert path.read_bytes() == CONTENT


def test_a_bad_download_is_tried_once_more(remote):
    remote.bodies = [CONTENT[:-5] + b"virus", CONTENT]
    [path] = jars.classpath()
    assert path.read_bytes() == CONTENT


def test_a_jar_that_stays_wrong_is_never_put_in_place(remote, tmp_path):
    remote.bodies = [b"<html>Please log in to the proxy</html>"]
    with pytest.raises(NotReady, match="is not the pinned file"):
        jars.classpath()
    assert remote.asked.count(ROUTE) == 2
    assert not JAR.path(tmp_path / "m2").exists()


def test_without_a_network_one_sentence_says_so(remote, monkeypatch):
    from jgo.maven import _core

    monkeypatch.setitem(_core.DEFAULT_REMOTE_REPOS, "central", "http://127.0.0.1:1")
    with pytest.raises(NotReady, match="check the network") as raised:
        jars.classpath()
    assert "KAFKA_BOOTSTRAP_SERVERS" in str(raised.value)
    assert "HTTPConnectionPool" not in str(raised.value)


def test_a_repository_that_cannot_be_written_says_so(remote, tmp_path):
    (tmp_path / "m2").write_text("a file where a folder should be")
    with pytest.raises(NotReady, match=r"m2 \(Not a directory\): check the network and the disk"):
        jars.classpath()


def test_a_version_that_is_gone_says_so(remote, monkeypatch):
    monkeypatch.setattr(jars, "pinned", lambda *_: [Jar(JAR.sha256, JAR.size, "org.example.kafka:kafka_2.13:9")])
    with pytest.raises(NotReady, match=r"does not answer for org\.example\.kafka:kafka_2\.13:9"):
        jars.classpath()


def test_a_download_has_an_end(remote, monkeypatch):
    monkeypatch.setattr(jars, "DEADLINE", -60)
    with pytest.raises(NotReady, match="not finished after"):
        jars.classpath()


def test_what_a_killed_download_left_is_swept_later(remote, tmp_path):
    old, young = tmp_path / "m2" / ".tocsin-old", tmp_path / "m2" / ".tocsin-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
    long_ago = time.time() - 3 * jars.DEADLINE
    os.utime(old, (long_ago, long_ago))
    jars.classpath()
    assert not old.exists()
    assert young.exists()


@pytest.mark.kafka
def test_the_jars_are_had_without_java_and_with_an_empty_environment():
    env = {"M2_REPO": str(jars.repository()), "PATH": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.jars"], env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(jars.pinned())} jars verified" in done.stdout
