"""The whole pipeline, Faust and all, on a broker that speaks TLS with a certificate of one's own and asks for a user."""

import asyncio
import json

import pytest

from events.settings import KafkaSettings
from sandbox import selftest
from tests.integration.secured_kafka import PASSWORD, USER, SecuredKafka

pytestmark = [pytest.mark.kafka, pytest.mark.system]


# aiokafka does not wait until TLS has said goodbye, and the loop ends before it has.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.long
def test_events_flow_through_tls_and_scram(tmp_path, capsys):
    broker = SecuredKafka(tmp_path / "secured")
    asyncio.run(broker.start())
    try:
        broker.add_user()
        kafka = KafkaSettings(
            bootstrap_servers=broker.address,
            security_protocol="SASL_SSL",
            sasl_username=USER,
            sasl_password=PASSWORD,
            ca_file=broker.authority,
        )
        assert selftest.on_cluster(kafka, as_json=True, events=40, kill=("stream", "sink")) == 0
    finally:
        asyncio.run(broker.stop())
    counts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert counts["unique"] == counts["enriched"] == counts["delivered"] == counts["archived"] >= 40
    assert counts["kills"] == 2
