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
    asyncio.run(_run(EmbeddedKafka(TocsinSettings().data / "kafka", nodes=nodes, port=port)))


async def _run(kafka: EmbeddedKafka) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    try:
        if not await _unless(told, kafka.start()):
            return
        print(_notice(kafka), flush=True)
        await _unless(told, _keep(kafka))
        print("Stopping Kafka", flush=True)
    finally:
        await kafka.stop()
