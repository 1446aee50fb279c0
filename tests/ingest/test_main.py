"""Starting ingest: a mistake ends in one sentence."""

import socket

import pytest

from events.errors import NotReady
from ingest import main


def test_without_hooks_it_does_not_start():
    with pytest.raises(NotReady, match="INGEST_HOOKS is not set"):
        main.run()


def test_a_weak_token_is_refused_and_not_shown(monkeypatch):
    monkeypatch.setenv("INGEST_HOOKS", "soc=changeme")
    with pytest.raises(NotReady) as caught:
        main.run()
    assert "shorter than 16" in str(caught.value)
    assert "changeme" not in str(caught.value)


def test_a_port_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(NotReady, match=f"127.0.0.1:{port}.*INGEST_ADMIN_PORT"),
            main.bind("INGEST_ADMIN", "127.0.0.1", port),
        ):
            pass


def test_a_bound_port_refuses_until_it_is_served():
    with main.bind("INGEST", "127.0.0.1", 0) as bound, pytest.raises(ConnectionRefusedError):
        socket.create_connection(bound.getsockname(), timeout=5)


def test_without_a_cluster_it_does_not_start(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as public, socket.create_server(("127.0.0.1", 0)) as admin:
        ports = [sock.getsockname()[1] for sock in (public, admin)]
    monkeypatch.setenv("INGEST_HOOKS", "soc=a-token-that-is-long-enough")
    monkeypatch.setenv("INGEST_PORT", str(ports[0]))
    monkeypatch.setenv("INGEST_ADMIN_PORT", str(ports[1]))
    with pytest.raises(NotReady, match="KAFKA_BOOTSTRAP_SERVERS is not set"):
        main.run()
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{ports[0]}")
    with pytest.raises(NotReady, match="Kafka cannot be reached at"):
        main.run()
