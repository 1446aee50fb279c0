"""docs/exposing.md: its proxy files, run as they stand where the proxy is installed; the token must reach no log."""

import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from events.topics import MAX_BODY
from ingest import live_hooks, main, workers
from ingest.live_hooks import LiveHooks
from ingest.settings import IngestSettings
from ops.catch_up_settings import CatchUpSettings
from ops.cli import app
from tests.docs.snippets import DOCS, snippets

PAGE = "exposing.md"
TOKEN = "token-that-no-log-may-hold"
WITHIN = 30
UPSTREAM = "127.0.0.1:8080"


class Upstream(BaseHTTPRequestHandler):
    """What stands behind the proxy: it takes everything, or hangs up."""

    protocol_version = "HTTP/1.1"
    timeout = 5

    def do_POST(self) -> None:
        length = len(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.away:
            self.close_connection = True
            return
        self.server.got.append((self.path, self.headers["X-Forwarded-For"], length))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    server.got, server.away = [], False
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def nginx(folder: Path, upstream: int, port: int) -> list[str]:
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hooks.example.org"]
    subprocess.run([*make, "-keyout", folder / "key", "-out", folder / "cert"], check=True, capture_output=True)
    [text] = snippets(PAGE, "nginx")
    for old, new in (
        (UPSTREAM, f"127.0.0.1:{upstream}"),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("/etc/ssl/hooks.example.org.pem", str(folder / "cert")),
        ("/etc/ssl/hooks.example.org.key", str(folder / "key")),
        ("/var/log/nginx", str(folder)),
    ):
        assert old in text
        text = text.replace(old, new)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    scratch = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    head = f"daemon off; {user} pid {folder}/pid; error_log {folder}/start.log crit; events {{}}\n"
    (folder / "nginx.conf").write_text(f"{head}http {{\n{scratch}{text}\n}}\n")
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "early.log")]


def caddy(folder: Path, upstream: int, port: int) -> list[str]:
    [text] = snippets(PAGE, "caddy")
    text = text.replace(UPSTREAM, f"127.0.0.1:{upstream}").replace("hooks.example.org {", f"http://127.0.0.1:{port} {{")
    (folder / "Caddyfile").write_text(text.replace("{\n", "{\n\tadmin off\n", 1))
    return ["caddy", "run", "--config", str(folder / "Caddyfile")]


def post(connect: Callable[[], http.client.HTTPConnection], path: str, size: int) -> int:
    connection = connect()
    try:
        connection.request("POST", path, b"x" * size, {"X-Forwarded-For": "203.0.113.66"})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("proxy", [nginx, caddy])
def test_a_proxy_passes_hooks_on_and_writes_the_token_nowhere(proxy, upstream, tmp_path):
    if not shutil.which(proxy.__name__):
        pytest.skip(f"{proxy.__name__} is not installed")
    port = free_port()
    command = proxy(tmp_path, upstream.server_port, port)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (tmp_path / "output").open("wb") as output:
        env = os.environ | {"HOME": str(tmp_path)}
        running = subprocess.Popen(command, stdout=output, stderr=output, env=env)

    def connect() -> http.client.HTTPConnection:
        if proxy is nginx:
            return http.client.HTTPSConnection("127.0.0.1", port, timeout=WITHIN, context=context)
        return http.client.HTTPConnection("127.0.0.1", port, timeout=WITHIN)

    try:
        until_listens(port, running)
        assert post(connect, f"/hooks/{TOKEN}", MAX_BODY) == 200
        assert post(connect, "/metrics", 1) == 404
        assert upstream.got == [(f"/hooks/{TOKEN}", "127.0.0.1", MAX_BODY)]
        upstream.away = True  # the moment in which an error log quotes the request
        assert post(connect, f"/hooks/{TOKEN}", 1) in {502, 504}
    finally:
        running.terminate()
        running.wait(WITHIN)
    logs = {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()}
    assert any("/hooks/-" in text for name, text in logs.items() if name in {"tocsin.log", "output"})
    assert [name for name, text in logs.items() if TOKEN in text] == []


def until_listens(port: int, running: subprocess.Popen) -> None:
    end = time.monotonic() + WITHIN
    while time.monotonic() < end and running.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the proxy does not listen")


def test_the_figures_of_the_page_are_those_of_the_code():
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    [config] = snippets(PAGE, "nginx")
    fields = IngestSettings.model_fields
    assert f"{fields['host'].default}:{fields['port'].default}" == UPSTREAM
    assert f"`INGEST_ADMIN_PORT` ({fields['admin_port'].default})" in text
    assert {int(size) * 1024 for size in re.findall(r"client_(?:max_body|body_buffer)_size +(\d+)k;", config)} == {
        MAX_BODY
    }
    assert int(re.search(r"keepalive_timeout (\d+)s", config)[1]) < main.KEEP_ALIVE
    assert f"idle connections for {main.KEEP_ALIVE} s" in config


def settings_of(block: str) -> IngestSettings:
    Path(".env").write_text(block)
    return IngestSettings()


def test_the_networks_of_the_page_are_kept_behind_its_proxy():
    blocks = snippets(PAGE, "ini")
    hooks = LiveHooks(settings_of(next(block for block in blocks if "INGEST_NETWORKS" in block)))

    def opens(token: str, client: str, forwarded: str) -> bool:
        headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
        return hooks.find(token, {"client": (client, 1), "headers": headers}) is not None

    sekoia, lab = "TOKEN-OF-SEKOIA-ONLY", "TOKEN-OF-THE-LABORATORY"
    assert opens(sekoia, "127.0.0.1", "192.0.2.7")
    assert opens(sekoia, "127.0.0.1", "203.0.113.66, 192.0.2.7")
    assert opens(sekoia, "192.0.2.7", "")
    assert opens(lab, "203.0.113.66", "")
    assert not opens(sekoia, "127.0.0.1", "192.0.2.7, 203.0.113.66")
    assert not opens(sekoia, "203.0.113.66", "192.0.2.7")


def test_the_tls_settings_of_the_page_are_settings():
    [block] = [block for block in snippets(PAGE, "ini") if "INGEST_TLS_CERT" in block]
    settings = settings_of(block)
    assert (settings.host, settings.port) == ("0.0.0.0", 8443)
    assert str(settings.tls_cert) == "/etc/ssl/hooks.example.org.pem"
    assert str(settings.tls_key) == "/etc/ssl/hooks.example.org.key"


def test_the_settings_without_a_port_are_settings():
    [block] = [block for block in snippets(PAGE, "ini") if "CATCH_UP_EVERY" in block]
    Path(".env").write_text(block)
    settings = CatchUpSettings()
    minute = timedelta(minutes=1)
    assert (settings.every, settings.delay, settings.silence_after) == (minute, minute, timedelta(0))


def test_every_setting_and_figure_of_the_page_exists():
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    named = set(re.findall(r"INGEST_[A-Z_]+", text))
    assert named <= {f"INGEST_{name.upper()}" for name in IngestSettings.model_fields}
    assert {"INGEST_HOOKS_FILE", "INGEST_WORKERS", "INGEST_NETWORKS", "INGEST_TRUSTED_PROXIES"} <= named
    assert f"`INGEST_MAX_CONNECTIONS` ({IngestSettings.model_fields['max_connections'].default:,})" in text
    assert f"takes {workers.STOP_WITHIN:.0f} seconds at most" in text
    assert live_hooks.LOOK_EVERY == 2


def test_the_command_of_the_page_makes_a_hook(monkeypatch):
    [command] = re.findall(r"tocsin (hooks new .*)", (DOCS / PAGE).read_text(encoding="utf-8"))
    monkeypatch.setenv("INGEST_HOOKS_FILE", "hooks")
    said = CliRunner().invoke(app, command.split())
    assert said.exit_code == 0, said.output
    token = re.search(r"https://hooks\.example\.org/hooks/(\S+)", said.output)[1]
    hook = LiveHooks(IngestSettings()).find(token, {"client": ("192.0.2.9", 1), "headers": []})
    assert hook.name == "sekoia"
    assert token not in Path("hooks").read_text()
