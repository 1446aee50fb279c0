"""A set-up that is well, served on this machine, and beside it the parts of broken ones."""

import asyncio
import contextlib
import itertools
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from events import slots
from events.settings import KafkaSettings
from ops import doctor, share, topics
from ops.findings import Asked, Finding
from sandbox import alert_api
from sandbox.alert_gate import API_KEY
from sandbox.firewall import Firewall
from sandbox.quirks import Quirks
from sandbox.receivers import TeamsReceiver
from sandbox.serving import serving
from sandbox.tenant import Tenant
from stream import gossip
from tests.ingest.processes import TOKEN, free_ports, ingest
from tests.integration.secured_kafka import SecuredKafka

HOST = "hooks.example.org"


RULES = """\
targets:
  teams: {type: teams, url: "${TEAMS_WEBHOOK_URL}"}
  ops: {type: teams, url: "${OPS_URL}"}
rules: [{name: everything, match: all, notify: teams}]
operators: [ops, teams]
"""


@dataclass
class Site:
    """A set-up that is well; where parts of broken ones stand is in `others`."""

    env: pytest.MonkeyPatch
    teams: TeamsReceiver
    url: str
    firewall: Firewall = field(default_factory=Firewall)
    others: dict[str, str] = field(default_factory=dict)

    async def examine(self) -> list[Finding]:
        self.firewall.unblock()
        return await doctor.examine(Asked(send=True, url=self.url))


@contextlib.asynccontextmanager
async def site(kafka: KafkaSettings, secured: SecuredKafka, env: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """Serve everything: API, channel, proxies and ingest with a certificate of an authority that counts as public."""
    _write_rules()
    public, stranger = trustme.CA(), trustme.CA()
    public.cert_pem.write_to_path("public.pem")
    _make_the_machine_quick(env)
    port = free_ports()[0]
    made = Site(env, TeamsReceiver(sig="a%2Fb_signature"), f"https://{HOST}:{port}")
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(serving(_api(made, Quirks())))
        made.others = {
            "one id a call": await stack.enter_async_context(serving(_api(made, Quirks(batch_400=True)))),
            "cut": made.teams.url(api).removesuffix("signature"),
            "short memory": secured.bootstrap,
            "secured": secured.address,
            "nothing": f"https://{HOST}:1",
            "stranger": await stack.enter_async_context(_proxy(stranger, 404)),
        }
        for status in (308, 403, 404, 502):
            made.others[str(status)] = await stack.enter_async_context(_proxy(public, status))
        settings = _settings(kafka, made.teams.url(api), api)
        for name, value in settings.items():
            env.setenv(name, value)
        await topics.ensure(KafkaSettings(bootstrap_servers=secured.bootstrap))
        public.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path("ingest.pem")
        tls = {"INGEST_TLS_CERT": "ingest.pem", "INGEST_TLS_KEY": "ingest.pem"}
        running = await stack.enter_async_context(ingest(kafka, port, **tls))
        env.setenv("INGEST_ADMIN_PORT", running._admin.rpartition(":")[2])
        yield made


def _make_the_machine_quick(env: pytest.MonkeyPatch) -> None:
    env.setattr(slots, "OPERATORS", 4.5)  # every second slot of nine a second; the simulated firewall bears it too
    env.setenv("SEKOIA_REQUESTS_PER_SECOND", "9")
    env.setattr(share, "LISTEN", 1.0)  # where there is no Kafka, nobody is heard
    for module, name in ((share, "REST"), (gossip, "FRESH")):
        env.setattr(module, name, 0.3)  # one doctor after the other, each with an error of its own
    resolve = socket.getaddrinfo
    env.setattr(
        socket,
        "getaddrinfo",
        lambda host, *args, **more: resolve("127.0.0.1" if host in (HOST, HOST.encode()) else host, *args, **more),
    )
    env.setenv("SSL_CERT_FILE", str(Path("public.pem").absolute()))


def _write_rules() -> None:
    Path("tocsin.yml").write_text(RULES)


def _settings(kafka: KafkaSettings, teams: str, api: str) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "KAFKA_PARTITIONS": str(kafka.partitions),
        "KAFKA_REPLICATION_FACTOR": "1",
        "SEKOIA_API_BASE": api,
        "SEKOIA_API_KEY": API_KEY,
        "TEAMS_WEBHOOK_URL": teams,
        "OPS_URL": teams,
        "INGEST_HOOKS": f"soc={TOKEN}",
        "INGEST_MAX_CONNECTIONS": "100",
        "INGEST_SPOOL_BYTES": str(2 * 1024**2),
    }


def _api(site: Site, quirks: Quirks):
    clock = itertools.count(int(time.time()) - 1000, 5)
    tenant = Tenant(1, odd_every=0, clock=lambda: float(next(clock)))
    for _ in range(3):
        tenant.create_alert()
    return alert_api.create_app(tenant, site.firewall, quirks, site.teams, latency=0.0)


@contextlib.asynccontextmanager
async def _proxy(authority: trustme.CA, status: int) -> AsyncIterator[str]:
    """Answer every request in the same way, as a proxy does that does not pass it on."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(context)
    answer = f"HTTP/1.1 {status} X\r\nLocation: https://{HOST}/\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnone"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer.encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://{HOST}:{server.sockets[0].getsockname()[1]}"
