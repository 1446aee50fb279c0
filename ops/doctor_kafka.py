"""The doctor's look at the brokers: reached, spoken to in the right protocol, let in, new enough, enough of them."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from events.errors import NotReady
from events.settings import KafkaSettings
from ops.findings import Asked, Finding, failed, split, warning, well
from ops.topic_shape import ENOUGH

WITHIN = 8.0
"""Seconds for one address to answer."""

SAID = 3.0
"""Seconds in which a broker says that it wants a certificate; one that wants none says nothing and waits."""

_TURNED_AWAY = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "HANDSHAKE_FAILURE")

FETCH, DESCRIBE_TRANSACTIONS = 1, 65
"""Numbers of requests; which of them a broker knows, and since which version, tells its own."""
FETCH_OF_4_0 = 4
"""The oldest form of a fetch that Kafka 4.0 still answers."""

_USER = "check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, and that the broker knows the user for that mechanism."
_ADDRESS = "correct KAFKA_BOOTSTRAP_SERVERS, or start the broker that should listen there."
_ADVERTISED = (
    "set advertised.listeners of that broker to an address that this machine reaches; clients use it for everything "
    "but their first question."
)


async def look(_asked: Asked) -> AsyncIterator[Finding]:
    """Connect to each address by itself: a client that has several says nothing about the one that is wrong."""
    kafka = KafkaSettings()
    try:
        options = kafka.client_options()
    except NotReady as error:
        yield split("kafka.address", str(error), _ADDRESS)
        return
    brokers: dict[int, tuple[str, int]] = {}
    for address in options.pop("bootstrap_servers").split(","):
        finding, found = await _ask(kafka, address.strip(), options)
        brokers |= found
        yield finding
    for number, (host, port) in sorted(brokers.items()):
        if trouble := await _unreachable(host, port):
            yield failed("kafka.advertised", f"broker {number} calls itself {host}:{port}, and {trouble}", _ADVERTISED)
    if brokers:
        yield _size(kafka, len(brokers))


async def _ask(
    kafka: KafkaSettings, address: str, options: dict[str, Any]
) -> tuple[Finding, dict[int, tuple[str, int]]]:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        async with asyncio.timeout(WITHIN):
            connection = await create_conn(host, int(port), request_timeout_ms=int(WITHIN * 1000), **options)
            try:
                metadata = await connection.send(MetadataRequest([]))
            finally:
                connection.close()
    except (OSError, KafkaError) as error:  # TimeoutError is an OSError
        trouble = await _unreachable(host, int(port))
        tls = kafka.security_protocol.endswith("SSL") and not trouble
        if tls and (alert := await asyncio.to_thread(_asks_for_certificate, host, int(port))):
            return _no_certificate(address, alert), {}
        return _why(kafka, address, error, trouble, speaks_tls=not trouble and await _speaks_tls(host, int(port))), {}
    return _version(address, connection), {broker[0]: (broker[1], broker[2]) for broker in metadata.brokers}


def _why(kafka: KafkaSettings, address: str, error: Exception, trouble: str, *, speaks_tls: bool) -> Finding:
    """Say what keeps us out, from what the broker did and what we had set."""
    check, protocol = "kafka.address", kafka.security_protocol
    secure, names_user = protocol.endswith("SSL"), protocol.startswith("SASL")
    if trouble:
        return failed(check, f"{address}: {trouble}", _ADDRESS)
    check = "kafka.protocol"
    if secure and not speaks_tls:
        return failed(
            check,
            f"{address} answers, but not with TLS, and KAFKA_SECURITY_PROTOCOL is {protocol}",
            f"set KAFKA_SECURITY_PROTOCOL={protocol.replace('SSL', 'PLAINTEXT').removeprefix('PLAINTEXT') or 'PLAINTEXT'}, "
            "or name the port of the broker's TLS listener.",
        )
    if not secure and speaks_tls:
        other = "SASL_SSL" if names_user else "SSL (SASL_SSL if it also asks for a user)"
        return failed(
            check,
            f"{address} speaks TLS, and KAFKA_SECURITY_PROTOCOL is {protocol}",
            f"set KAFKA_SECURITY_PROTOCOL={other}.",
        )
    if isinstance(error, ssl.SSLError):
        return failed(
            "kafka.certificate",
            f"{address} has a certificate that is not trusted here ({_reason(error)})",
            "set KAFKA_CA_FILE to the PEM file of the authority that signed it, and use the name it is made out to.",
        )
    return _not_let_in(kafka, address, error)


def _not_let_in(kafka: KafkaSettings, address: str, error: Exception) -> Finding:
    check, protocol = "kafka.authentication", kafka.security_protocol
    if isinstance(error, SaslAuthenticationFailed):
        return failed(check, f"{address} refuses user {kafka.sasl_username!r} with {kafka.sasl_mechanism}", _USER)
    if isinstance(error, UnsupportedSaslMechanismError):
        return failed(
            check, f"{address} does not offer {kafka.sasl_mechanism}", "set KAFKA_SASL_MECHANISM to one it has."
        )
    if protocol.startswith("SASL"):
        without = isinstance(error, IllegalSaslStateError)
        found = "asks for no user" if without else "ends the connection while the user is named"
        return failed(
            check, f"{address} {found}, and KAFKA_SECURITY_PROTOCOL is {protocol}",
            f"set KAFKA_SECURITY_PROTOCOL={protocol.removeprefix('SASL_')}, or name its listener for users." if without else _USER,
        )  # fmt: skip
    if isinstance(error, KafkaConnectionError):
        return failed(
            check,
            f"{address} ends the connection of a client that names no user, and KAFKA_SECURITY_PROTOCOL is {protocol}",
            f"set KAFKA_SECURITY_PROTOCOL=SASL_{protocol} with KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD; "
            "if it is no Kafka that listens there, correct KAFKA_BOOTSTRAP_SERVERS.",
        )
    return failed(
        "kafka.address",
        f"{address} takes a connection and does not answer as Kafka does ({type(error).__name__})",
        _ADDRESS,
    )


async def _unreachable(host: str, port: int) -> str:
    """Return why no connection can be made, "" when one can."""
    try:
        async with asyncio.timeout(WITHIN):
            _, writer = await asyncio.open_connection(host, port)
    except socket.gaierror:
        return "its name is not known here"
    except ConnectionRefusedError:
        return "nothing listens there"
    except TimeoutError:
        return "it does not answer, as behind a firewall"
    except OSError as error:
        return f"it cannot be reached ({error.strerror or error})"
    await _close(writer)
    return ""


def _asks_for_certificate(host: str, port: int) -> str:
    """Return by what alert a broker turns a client away that shows no certificate of its own, "" where it does not.

    On a blocking socket: asyncio does not pass on the alert that TLS 1.3 sends after the handshake.
    """
    try:
        with socket.create_connection((host, port), SAID) as plain, _any().wrap_socket(plain) as connection:
            connection.recv(1)
    except ssl.SSLError as error:
        return error.reason if error.reason and error.reason.endswith(_TURNED_AWAY) else ""
    except OSError:  # it says nothing, and waits for us
        return ""
    return ""


def _no_certificate(address: str, alert: str) -> Finding:
    return failed(
        "kafka.authentication",
        f"{address} ends TLS ({alert}), as one does that asks its clients for a certificate; tocsin has none to show",
        "name a listener that asks for user and password instead (SASL_SSL), or set ssl.client.auth=none for this one.",
    )


def _any() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only to hear whether and what it answers
    return context


async def _speaks_tls(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(WITHIN):
            _, writer = await asyncio.open_connection(host, port, ssl=_any())
    except OSError:
        return False
    await _close(writer)
    return True


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):  # the other end may have hung up, or not say goodbye
        async with asyncio.timeout(1):
            await writer.wait_closed()


def _version(address: str, connection: AIOKafkaConnection) -> Finding:
    known = connection._versions  # noqa: SLF001 - not shown otherwise; a test pins it
    if known[FETCH][0] >= FETCH_OF_4_0:
        return well("kafka.version", f"{address} is Kafka 4.0 or newer.")
    if DESCRIBE_TRANSACTIONS in known:
        return well("kafka.version", f"{address} is Kafka 3.0 or newer.")
    return warning(
        "kafka.version", f"{address} is older than Kafka 3.0", "upgrade the brokers: what is promised was tried on 4.1."
    )


def _size(kafka: KafkaSettings, brokers: int) -> Finding:
    if brokers >= ENOUGH or kafka.replication_factor:
        return well("kafka.brokers", f"there are {brokers}.")
    return warning(
        "kafka.brokers",
        f"there {'are' if brokers > 1 else 'is'} {brokers}, not {ENOUGH}: a broken disk or a power cut can lose events",
        f"run {ENOUGH} brokers; for trying out and small sites, say KAFKA_REPLICATION_FACTOR={brokers}.",
    )


def _reason(error: ssl.SSLError) -> str:
    return getattr(error, "verify_message", "") or error.reason or type(error).__name__
