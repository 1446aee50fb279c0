"""The archive as a process over S3-compatible storage: killed while records flow, each record is in the bucket once."""

import asyncio
import importlib.util
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from ops.archive_verify import verify
from sinks.archive.bucket import Bucket

pytestmark = pytest.mark.kafka

ARCHIVE = Path(__file__).parents[1] / "sinks" / "archive"


def module(name: str):
    spec = importlib.util.spec_from_file_location(f"archive_{name}", ARCHIVE / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


processes, s3 = module("processes"), module("s3")


@pytest.fixture
def site(kafka_settings, tmp_path):
    """Return a site whose archive is a bucket, and end its processes."""
    with s3.server() as address:
        keys = {f"ARCHIVE_S3_{name.upper()}": value for name, value in s3.KEYS.items()}
        bucket = Bucket(s3.BUCKET, "soc", {**s3.KEYS, "endpoint": address}, retry=timedelta(seconds=30))
        place = {"ARCHIVE_URL": f"s3://{s3.BUCKET}/soc", "ARCHIVE_S3_ENDPOINT": address} | keys
        site = processes.Site(kafka_settings, tmp_path, bucket, **place)
        yield site
        site.kill_all()


def test_kill_9_while_records_flow(site):
    draw = Random(7)

    async def scenario() -> None:
        async with processes.flow(site, draw):
            for kill in range(2):
                process = site.start(ARCHIVE_FLUSH_RECORDS="50", ARCHIVE_COMPACT_EVERY="300ms")
                await site.until(lambda kill=kill: site.claims() >= 4 * kill + 4)
                await asyncio.sleep(draw.uniform(0.5, 1.5))
                process.kill()
                process.wait()
                await site.bury_members()
        process = site.start()
        await site.until_archived()
        site.stop(process)
        assert await site.compare() > 20
        assert verify(site.root).problems == []

    asyncio.run(scenario())
