"""docs/connect-sekoia.md, done as it says: its own commands and bodies, against the simulated tenant."""

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from dotenv import dotenv_values
from pydantic import SecretStr

from events.codec import decode_webhook
from ingest.settings import IngestSettings
from ops import tenant as ops_tenant
from sandbox import alert_api, raw_records
from sandbox.alert_gate import API_KEY
from sandbox.firewall import Firewall
from sandbox.receivers import TeamsReceiver
from sandbox.serving import serving
from sandbox.tenant import Tenant
from stream.alert_api import AlertApi
from stream.enrich import needs_alert
from stream.settings import SekoiaSettings
from tests.docs.snippets import DOCS, snippets

ROOT = Path(__file__).parents[2]
PAGE = "connect-sekoia.md"
HOOK = "https://YOUR-ADDRESS/hooks/TOKEN"
WITHIN = 60


def commands(word: str) -> list[str]:
    return [block for block in snippets(PAGE, "sh") if word in block.split()]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def shell(command: str, more: dict[str, str] | None = None, files: dict[str, str] | None = None):
    """Run a snippet in a folder with these files; `tocsin` is this tree's."""
    tocsin = f'#!/bin/sh\nexec {sys.executable} -P -m ops "$@"\n'
    for name, content in {"bin/tocsin": tocsin, **(files or {})}.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(content)
    Path("bin/tocsin").chmod(0o700)
    path = f"{Path('bin').absolute()}:{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)} | (more or {})
    return subprocess.run(["sh", "-ec", command], env=env, capture_output=True, text=True, timeout=WITHIN, check=False)


def rendered(step: str, output: dict[str, object]) -> dict:
    """Fill in what the playbook's trigger gave, as the platform's templates do."""
    return json.loads(re.sub(r"\{\{ node\.0\.(\w+) \}\}", lambda match: str(output[match[1]]), step))


async def posted(hook: str, step: dict) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.request(step["method"], hook, json=step["json"])).status_code


async def until_listens(port: int, process: subprocess.Popen) -> None:
    end = time.monotonic() + WITHIN
    while not listens(port):
        assert process.poll() is None
        assert time.monotonic() < end
        await asyncio.sleep(0.1)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.kafka
@pytest.mark.skipif(not shutil.which("curl"), reason="the page's own command is curl")
def test_the_page_from_the_key_to_the_alert(kafka_settings):
    simulated = Tenant(1, odd_every=0)
    alert = simulated.alerts[simulated.create_alert()["attributes"]["uuid"]]
    teams = TeamsReceiver()
    [scripted] = commands("--no-input")
    [curl] = commands("curl")
    [step] = snippets(PAGE, "json")

    async def scenario() -> tuple[list, dict]:
        async with serving(alert_api.create_app(simulated, Firewall(), None, teams, latency=0.0)) as base:
            files = {"sekoia-key": API_KEY, "teams-url": teams.url(base)}
            done = await asyncio.to_thread(shell, scripted, {"SEKOIA_API_BASE": base}, files)
            assert done.returncode == 0, done.stderr
            port = free_port()
            hook = f"http://127.0.0.1:{port}/hooks/{dotenv_values('.env')['INGEST_HOOKS'].partition('=')[2]}"
            with ingest(kafka_settings, port) as process:
                await until_listens(port, process)
                said = await asyncio.to_thread(shell, curl.replace(HOOK, hook))
                assert said.stdout == "accepted\n", said.stderr
                arguments = rendered(step, {"alert_uuid": alert["uuid"]} | alert)
                assert arguments["url"] == HOOK
                assert await posted(hook, arguments) == 200
            # The stream's own client, with the key that connect wrote, finds the playbook's alert.
            settings = SekoiaSettings(api_base=base)
            assert settings.api_key == SecretStr(API_KEY)
            async with AlertApi(settings) as api:
                found = await api.listed([needs_alert(decode_webhook(json.dumps(arguments["json"]).encode())[0])])
        return await raw_records.read(kafka_settings), found

    records, found = asyncio.run(scenario())
    assert [post.card["body"][0]["text"] for post in teams.posts] == [f"TEST: {alert['title']}"]
    assert {record.key.decode() for record in records} == {"3b0f6a52-7d1e-4c7a-9f0b-5a1f2f0c9d11", alert["uuid"]}
    assert found[alert["uuid"]]["title"] == alert["title"]


class ingest:  # noqa: N801 - read as a function
    """`tocsin ingest` with the `.env` of this folder."""

    def __init__(self, kafka, port: int) -> None:
        self._env = os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "KAFKA_PARTITIONS": str(kafka.partitions),
            "INGEST_PORT": str(port),
            "INGEST_ADMIN_PORT": str(free_port()),
            "PYTHONPATH": str(ROOT),
        }

    def __enter__(self) -> subprocess.Popen:
        self._log = Path("ingest.log").open("wb")
        command = [sys.executable, "-P", "-m", "ops", "ingest"]
        self._process = subprocess.Popen(command, env=self._env, stdout=self._log, stderr=self._log)
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(WITHIN)
        self._log.close()


def test_the_playbooks_event_is_told_from_another_by_its_time():
    [step] = snippets(PAGE, "json")
    output = {"alert_uuid": "3b0f6a52-7d1e-4c7a-9f0b-5a1f2f0c9d11", "short_id": "AL1", "created_at": 1785312417}
    body = json.dumps(rendered(step, output)["json"]).encode()
    event, _ = decode_webhook(body)
    assert (event.type, event.action, event.short_id) == ("alert", "created", "AL1")
    assert needs_alert(event) == output["alert_uuid"]


def test_tunnels_lead_to_the_port_ingest_has_by_itself():
    port = str(IngestSettings.model_fields["port"].default)
    tunnels = [block for word in ("cloudflared", "ngrok") for block in commands(word)]
    assert len(tunnels) == 2
    assert all(re.search(r"\d{4,5}", block)[0] == port for block in tunnels)


def test_the_permission_is_the_one_that_connect_names():
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    assert {"SIC_READ_ALERTS", "View alerts"} <= set(re.findall(r"SIC_READ_ALERTS|View alerts", ops_tenant._PERMISSION))
    assert "**View alerts** (`SIC_READ_ALERTS`)" in text
