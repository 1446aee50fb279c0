"""The embedded Kafka alone: `tocsin broker`."""

import asyncio
import signal
import sys
import time
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from events.errors import NotReady
from sandbox.kafka import EmbeddedKafka

STEADY = 30.0
"""Seconds a node must have run for a restart to be worth trying; one that dies sooner needs a person."""


class TocsinSettings(BaseSettings):
    """Where data is kept."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_", env_file=".env", extra="ignore", frozen=True)

    data: Path = Field(Path("data"), description="Folder of everything tocsin keeps on this machine.")


def run(nodes: int, port: int) -> None:
    """Run Kafka in TOCSIN_DATA/kafka until Ctrl-C or SIGTERM; a node that dies is started again.

    Raises NotReady when it cannot start.
    """
    kafka = EmbeddedKafka(TocsinSettings().data / "kafka", nodes=nodes, port=port)
    print(f"Starting Kafka in {kafka.folder.path}", flush=True)
    kafka.prepare()  # outside the loop: Ctrl-C ends a download
    asyncio.run(_run(kafka))


async def _run(kafka: EmbeddedKafka) -> None:
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    working = asyncio.create_task(_work(kafka))
    waiting = asyncio.create_task(told.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
    finally:
        for task in (working, waiting):
            task.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)
        await kafka.stop()


async def _work(kafka: EmbeddedKafka) -> None:
    await kafka.start()
    print(_notice(kafka), flush=True)
    started = dict.fromkeys(kafka.nodes, time.monotonic())
    while True:
        await asyncio.sleep(0.5)
        for number in kafka.nodes.keys() - kafka.pids.keys():
            if time.monotonic() - started[number] < STEADY:
                raise NotReady(kafka.failure(number, "ended again soon after its start"))
            print(f"Kafka node {number} ended; starting it again", file=sys.stderr, flush=True)
            kafka.restart(number)
            started[number] = time.monotonic()


def _notice(kafka: EmbeddedKafka) -> str:
    return f"""Kafka listens on {kafka.bootstrap}, on this machine only. Ctrl-C stops it; its data stays in {kafka.folder.path}.
In another terminal:
  export KAFKA_BOOTSTRAP_SERVERS={kafka.bootstrap}
  tocsin topics create
It is for trying out, tests and small sites; for more, point KAFKA_BOOTSTRAP_SERVERS at a cluster, nothing else changes."""
