"""The private port."""

import asyncio

import httpx
from prometheus_client import CollectorRegistry

from ingest.admin import create_admin
from ingest.metrics import IngestMetrics


def get(path, *, trouble=None, registry=None):
    async def fetch():
        app = create_admin(registry or CollectorRegistry(), lambda: trouble, lambda: {"kafka": "away"})
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://admin") as client:
            return await client.get(path)

    return asyncio.run(fetch())


def test_ready():
    answer = get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "reason": None, "kafka": "away"})


def test_not_ready_says_why():
    answer = get("/healthz", trouble="Kafka does not acknowledge")
    told = {"ready": False, "reason": "Kafka does not acknowledge", "kafka": "away"}
    assert (answer.status_code, answer.json()) == (503, told)


def test_metrics_are_those_of_the_registry_it_is_given():
    registry = CollectorRegistry()
    metrics = IngestMetrics(registry)
    metrics.accepted("soc", 0.004)
    metrics.rejected("malformed")
    text = get("/metrics", registry=registry).text
    assert 'tocsin_ingest_accepted_total{hook="soc"} 1.0' in text
    assert 'tocsin_ingest_rejected_total{reason="malformed"} 1.0' in text
    assert 'tocsin_ingest_publish_seconds_bucket{le="0.005"} 1.0' in text
    assert "tocsin_ingest_accepted_total{" not in get("/metrics").text


def test_nothing_else_is_there():
    assert [get(path).status_code for path in ("/", "/docs", "/openapi.json", "/hooks/x")] == [404] * 4
