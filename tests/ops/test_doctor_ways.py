"""The doctor at ways that are shut: a broker that wants a certificate, a vendor that refuses the key, targets without a host."""

import asyncio
import contextlib
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace

import httpx
import pytest
import trustme

from ops import doctor_kafka, doctor_sekoia, doctor_targets, tenant
from ops.findings import Asked
from sinks import rules_file
from stream.settings import SekoiaSettings

NOW = datetime(2026, 8, 1, tzinfo=UTC)


@contextlib.contextmanager
def broker(context):
    """Serve TLS and say nothing, as a broker does until it is asked; None: without TLS."""

    def serve():
        with contextlib.suppress(OSError):
            connection = listener.accept()[0]
            with contextlib.closing(
                connection if context is None else context.wrap_socket(connection, server_side=True)
            ):
                ended.wait(10)

    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        ended.set()
        thread.join()


@pytest.mark.parametrize(
    ("version", "wanted", "alert"),
    [
        (ssl.TLSVersion.TLSv1_3, ssl.CERT_REQUIRED, "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
        (ssl.TLSVersion.TLSv1_2, ssl.CERT_REQUIRED, "SSLV3_ALERT_HANDSHAKE_FAILURE"),
        (ssl.TLSVersion.TLSv1_3, ssl.CERT_NONE, ""),
        (None, ssl.CERT_NONE, ""),
    ],
)
def test_a_broker_that_wants_a_certificate_of_its_clients_is_told_from_others(version, wanted, alert, monkeypatch):
    context = None
    if version:
        authority = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(context)
        authority.configure_trust(context)
        context.verify_mode, context.maximum_version = wanted, version
    if not alert:
        monkeypatch.setattr(doctor_kafka, "SAID", 0.1)
    with broker(context) as port:
        assert doctor_kafka._asks_for_certificate("127.0.0.1", port) == alert
    found = doctor_kafka._no_certificate("b:9093", alert)
    assert "KAFKA_SASL" not in found.advice


class Pace:
    """Holds nobody up."""

    slots = None

    async def leave(self):
        pass

    def failed(self, *_):
        pass


@pytest.mark.parametrize(
    ("date", "state"),
    [
        (NOW, "well"),
        (NOW - timedelta(minutes=5), "failed"),
        (None, "skipped"),
    ],
)
def test_the_clock_is_compared_by_a_refusal_too_and_it_costs_no_second_error(date, state, monkeypatch):
    asked = []

    def refuse(request):
        asked.append(request.url.path)
        headers = {"Date": format_datetime(date, usegmt=True)} if date else {}
        return httpx.Response(401, headers=headers, stream=httpx.ByteStream(b""))

    monkeypatch.setattr(doctor_sekoia, "time", SimpleNamespace(time=NOW.timestamp))
    look = tenant.look
    monkeypatch.setattr(tenant, "look", lambda *given: look(*given, httpx.MockTransport(refuse)))

    async def scenario():
        settings = SekoiaSettings(api_key="of-yesterday")
        return [each async for each in doctor_sekoia._look(settings, Pace())]

    found = asyncio.run(scenario())
    assert [(each.check, each.state) for each in found] == [("sekoia.key", "failed"), ("machine.clock", state)]
    assert asked == ["/v1/me"]


def test_whom_no_look_was_given_is_not_said_to_be_reached(monkeypatch):
    text = """\
targets:
  screen: {type: log}
  phone: {type: telegram, token: "1234567:abcdefghijklmnopqrstuvwxyzABCDEFGHI", chat: "-100123"}
rules: [{name: everything, match: all, notify: [screen, phone]}]
"""
    monkeypatch.setattr(doctor_targets, "load", lambda _: rules_file.parse(text, "tocsin.yml", {}))
    hosts = []

    async def way(host, _port, **_):
        hosts.append(host)

    monkeypatch.setattr(doctor_targets, "_way", way)

    async def look():
        return {each.check: each.found async for each in doctor_targets.look(Asked())}

    found = asyncio.run(look())
    assert "names no host to look at" in found["target.screen"]
    assert "its host may be reached" in found["target.phone"]
    assert hosts == ["", "api.telegram.org"]
