"""`tocsin doctor --chaos`: on a cluster that is somebody's, and afterwards as if it had never been there."""

import asyncio
import json
import signal
import subprocess
import sys

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from sandbox import selftest
from sandbox.plan import bare_environment

pytestmark = pytest.mark.kafka


async def names(kafka):
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        return {name for name in await admin.list_topics() if not name.startswith("__")}
    finally:
        await admin.close()


@pytest.mark.long
def test_the_pipeline_is_proved_on_topics_of_its_own_and_none_is_left(kafka_settings, capsys):
    before = asyncio.run(names(kafka_settings))
    assert selftest.on_cluster(kafka_settings, as_json=True, events=60) == 0
    counts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert counts["kills"] == 6
    assert counts["unique"] == counts["enriched"] == counts["delivered"] >= 60
    assert counts["missing"] == counts["doubled_in_topics"] == 0
    assert asyncio.run(names(kafka_settings)) == before


def test_stopped_in_the_middle_it_leaves_no_topic_and_no_process(kafka_settings):
    before = asyncio.run(names(kafka_settings))
    settings = {"KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers, "KAFKA_TOPIC_PREFIX": "mine."}
    command = [sys.executable, "-P", "-m", "ops", "doctor", "--chaos"]
    said = ""
    with subprocess.Popen(
        command, env=bare_environment() | settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout:
            said += line
            if "ready: stream" in line:
                assert {name[:12] for name in asyncio.run(names(kafka_settings)) - before} == {"mine.doctor-"}
                process.send_signal(signal.SIGINT)
    assert process.returncode == 130, said
    assert "nothing is proved" in said
    assert asyncio.run(names(kafka_settings)) == before
