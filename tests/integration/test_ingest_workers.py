"""Several ingest processes behind one port: one by one they may end, and nobody who posts is refused."""

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
from pathlib import Path

import httpx
import pytest

_path = Path(__file__).parents[1] / "ingest" / "processes.py"
_spec = importlib.util.spec_from_file_location("processes", _path)
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)

pytestmark = pytest.mark.kafka


async def started(number: int) -> list[int]:
    """Wait for so many workers to have been started in all, and return the pids, in the order of starting."""
    async with asyncio.timeout(60):
        while True:
            if logged("worker_started") >= number:
                return pids()
            await asyncio.sleep(0.1)


async def ready(running, number: int) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(httpx.TransportError):  # its port opens a moment after the public one
                if (await running.admin("/healthz")).json()["workers"]["ready"] == number:
                    return
            await asyncio.sleep(0.1)


def pids() -> list[int]:
    lines = [json.loads(line) for line in Path("log").read_text(encoding="utf-8").splitlines()]
    return [line["pid"] for line in lines if line["event"] == "worker_started"]


def logged(word: str) -> int:
    return Path("log").read_text(encoding="utf-8").count(f'"{word}"')


async def until_logged(word: str, times: int) -> None:
    async with asyncio.timeout(120):
        while logged(word) < times:
            await asyncio.sleep(0.1)


def test_workers_are_restarted_under_load_and_nobody_is_refused(kafka_settings):
    async def scenario():
        async with processes.ingest(kafka_settings, log=Path("log"), INGEST_WORKERS="2") as running:
            await ready(running, 2)
            async with processes.Senders(running.port) as senders:
                await senders.until_more(50)
                running.process.send_signal(signal.SIGUSR2)
                await until_logged("workers_rolled", 1)
                os.kill((await started(4))[-1], signal.SIGTERM)  # by hand, as an operator would
                await started(5)
                await ready(running, 2)
                await senders.until_more(50)
                assert senders.unanswered == 0
                assert senders.refused == []
            metrics = (await running.admin("/metrics")).text
            for worker in (0, 1):
                assert f'tocsin_ingest_accepted_total{{hook="soc",worker="{worker}"}}' in metrics
            assert await running.stop() == 0
            assert logged("ingest_stopped") == 5
        return senders, await processes.raw_records(kafka_settings)

    senders, found = asyncio.run(scenario())
    senders.assert_nothing_is_missing(found)
    assert len(found) == senders.count


def test_a_killed_worker_is_replaced_and_a_killed_parent_leaves_none(kafka_settings):
    async def scenario():
        async with processes.ingest(kafka_settings, log=Path("log"), INGEST_WORKERS="2") as running:
            await ready(running, 2)
            async with processes.Senders(running.port) as senders:
                await senders.until_more(20)
                os.kill((await started(2))[0], signal.SIGKILL)
                await started(3)
                await ready(running, 2)
                await senders.until_more(20)
            running.process.kill()
            async with asyncio.timeout(30):
                with contextlib.suppress(httpx.TransportError):
                    while await running.post(b""):
                        await asyncio.sleep(0.1)
            while logged("ingest_stopped") < 2:
                await asyncio.sleep(0.1)
        return senders, await processes.raw_records(kafka_settings)

    senders, found = asyncio.run(scenario())
    senders.assert_nothing_is_missing(found)


def test_a_mistake_ends_all_of_it_in_one_sentence(kafka_settings):
    async def scenario():
        wrong = kafka_settings.model_copy(update={"topic_prefix": "nobody."})
        process = processes.start(wrong, *processes.free_ports(), INGEST_WORKERS="2")
        return (await asyncio.to_thread(process.communicate, timeout=60))[1], process.returncode

    text, code = asyncio.run(scenario())
    assert code == 2
    assert "nobody.raw.v1 does not exist: run `tocsin topics create`" in text
    assert "Traceback" not in text
