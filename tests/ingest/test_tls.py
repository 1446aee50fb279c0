"""TLS in place: the public port speaks it, takes a new certificate without a restart, and says in one line what is wrong."""

import importlib.util
import ssl
from pathlib import Path

import pytest
import trustme
from structlog.testing import capture_logs

from events.errors import NotReady

_spec = importlib.util.spec_from_file_location("served", Path(__file__).with_name("served.py"))
served = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(served)

EVENT = b'{"type":"alert","action":"created"}'


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def issue(authority: trustme.CA) -> dict[str, str]:
    """Write a new certificate and its key, and return the settings that name them."""
    made = authority.issue_cert("127.0.0.1")
    Path("key").write_bytes(made.private_key_pem.bytes())
    Path("cert").write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    return {"tls_cert": "cert", "tls_key": "key"}


def ask(running, authority: trustme.CA) -> tuple[int, bytes]:
    """Post an event; return the status and the certificate it was answered with."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with running.connect() as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as sock:
        return served.ask(sock, served.post(EVENT)), sock.getpeercert(binary_form=True)


def test_it_is_spoken_and_plain_http_is_not(authority):
    with served.Served(**issue(authority)) as running:
        assert ask(running, authority)[0] == 200
        assert b"200" not in running.talk(served.post(EVENT))
        assert running.publisher.bodies == [EVENT]


def test_a_new_certificate_counts_and_a_broken_one_changes_nothing(authority):
    with served.Served(**issue(authority)) as running, capture_logs() as logs:
        _, first = ask(running, authority)
        issue(authority)
        running.server.reload_certificate()
        _, second = ask(running, authority)
        assert second != first
        Path("key").write_text("half a key")
        running.server.reload_certificate()
        assert ask(running, authority) == (200, second)
    assert [entry["event"] for entry in logs] == ["certificate_read", "certificate_not_read"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"tls_cert": "cert"}, "belong together"),
        ({"tls_cert": "nowhere", "tls_key": "key"}, "not a certificate and its key"),
        ({"tls_cert": "key", "tls_key": "key"}, "not a certificate and its key"),
    ],
)
def test_a_mistake_is_one_sentence(authority, settings, says):
    issue(authority)
    with pytest.raises(NotReady, match=says) as caught:
        served.server.PublicServer(
            served.IngestSettings(_env_file=None, **settings),
            None,
            served.IngestMetrics(served.CollectorRegistry()),
            10,
        )
    assert "\n" not in str(caught.value)
