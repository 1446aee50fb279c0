"""What the stream is compared with: the textbook Faust agent, and a bare aiokafka loop that keeps no promise."""

import asyncio
import os
import sys
import tempfile

import orjson

from bench import stream_api, stream_load
from events.topics import Topics

KAFKA, SOURCE, PREFIX = (os.environ.get(name, "") for name in ("BENCH_KAFKA", "BENCH_SOURCE", "BENCH_PREFIX"))
API = os.environ.get("BENCH_API", "")
WARM = os.environ.get("BENCH_WARM", "0")
"""How many alerts the textbook agent knows from the start."""


def textbook():
    """Run the agent of the documentation: read, look up, send; alerts are kept in a dict for ever."""
    import faust
    import httpx
    from faust.worker import Worker

    app = faust.App(
        f"{PREFIX}textbook",
        broker=f"kafka://{KAFKA}",
        datadir=tempfile.mkdtemp(prefix="tocsin-bench-"),
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        value_serializer="raw",
    )
    raw = app.topic(Topics(SOURCE).raw, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    enriched = app.topic(
        Topics(PREFIX).enriched, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )
    client = httpx.AsyncClient(base_url=API, trust_env=False)
    # Where the cache is measured this agent starts with everything in it.
    known = {uuid: stream_api.alert(uuid) for uuid in map(stream_load.alert_uuid, range(int(WARM)))}

    async def look_up(uuid):
        if uuid not in known:
            known[uuid] = (await client.get(f"/v1/sic/alerts/{uuid}")).json()
        return known[uuid]

    @app.agent(raw)
    async def enrich(stream):
        async for key, value in stream.items():
            event = orjson.loads(value)
            alert = await look_up(event["attributes"]["uuid"])
            await enriched.send(key=key, value=orjson.dumps({"event": event, "alert": alert}))

    loop = asyncio.new_event_loop()
    Worker(app, loglevel="INFO", redirect_stdouts=False, quiet=True, loop=loop).execute_from_commandline()


async def bare():
    """Copy records, some hundreds at a time: no decoding, no look-up, no dedupe, no transaction."""
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

    consumer = AIOKafkaConsumer(
        Topics(SOURCE).raw,
        bootstrap_servers=KAFKA,
        group_id=f"{PREFIX}bare",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = AIOKafkaProducer(bootstrap_servers=KAFKA, acks="all", linger_ms=0, max_batch_size=256 * 1024)
    await producer.start()
    await consumer.start()
    topic = Topics(PREFIX).enriched
    while True:
        found = await consumer.getmany(timeout_ms=200, max_records=2000)
        sent = [
            await producer.send(topic, record.value, record.key, partition.partition)
            for partition, records in found.items()
            for record in records
        ]
        await asyncio.gather(*sent)
        await consumer.commit()


if __name__ == "__main__":
    if sys.argv[1] == "textbook":
        textbook()
    else:
        asyncio.run(bare())
