"""The archive on real Kafka: whatever happens to its processes, the enriched topic is in it exactly once."""

import asyncio
import importlib.util
import random
import signal
import subprocess
from pathlib import Path

import pytest

from events.headers import as_text
from sinks.archive.read import entries

pytestmark = pytest.mark.kafka

_path = Path(__file__).parents[1] / "sinks" / "archive" / "processes.py"
_spec = importlib.util.spec_from_file_location("archive_processes", _path)
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)


@pytest.fixture
def site(kafka_settings, tmp_path):
    """Return the site, and end its processes."""
    site = processes.Site(kafka_settings, tmp_path)
    yield site
    site.kill_all()


def seeded() -> random.Random:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed={seed}")
    return random.Random(seed)


def test_kill_9_while_records_flow(site):
    draw = seeded()

    async def scenario() -> None:
        async with processes.flow(site, draw):
            for kill in range(5):
                process = site.start(
                    ARCHIVE_FLUSH_RECORDS=str(draw.choice([1, 10, 1000])),
                    ARCHIVE_COMPACT_EVERY=draw.choice(["0s", "300ms"]),
                )
                await site.until(lambda kill=kill: site.claims() >= 4 * kill + draw.choice([1, 4]))
                await asyncio.sleep(draw.uniform(0, 1.2))
                process.kill()
                process.wait()
                await site.bury_members()
        process = site.start()
        await site.until_archived()
        site.stop(process)
        assert await site.compare() > 100
        letters = [letter for letter in await site.read(site.topics.dead_letters) if letter.value == processes.BAD]
        places = {
            (head["source-partition"], head["source-offset"]) for head in (as_text(each.headers) for each in letters)
        }
        bad = [each for each in await site.read(site.topics.enriched) if each.value == processes.BAD]
        assert places == {(str(each.partition), str(each.offset)) for each in bad}

    asyncio.run(scenario())


def test_small_files_are_merged_beside_the_sink(site):
    """Of eight small files of a day one is made, while records come and the process is killed."""

    def merged() -> int:
        return sum(entry.kind == "compaction" for entry in entries(site.root))

    async def scenario() -> None:
        process = site.start(ARCHIVE_COMPACT_EVERY="300ms", ARCHIVE_FLUSH_EVERY="100ms")
        for number in (1, 3, 7, 9, 11, 13, 17, 19):  # one tenant, one day
            await site.publish(processes.event(number))
            await site.until_archived()
        await site.until(merged)
        process.kill()
        process.wait()
        await site.bury_members()
        process = site.start()
        await site.publish(processes.event(21))
        await site.until_archived()
        site.stop(process)
        assert await site.compare() == 9

    asyncio.run(scenario())


def test_two_workers_and_a_zombie(site):
    """A worker sleeps through its session while another takes its partitions, and wakes up with records in hand."""
    draw, workers, superseded = seeded(), [], []

    def start() -> subprocess.Popen[bytes]:
        return site.start(ARCHIVE_FLUSH_EVERY="1s")

    def claims(since: int) -> bool:
        """Start again who was superseded, as a cluster would, and tell whether all partitions have been claimed."""
        for place, worker in enumerate(workers):
            if worker.poll() is not None:
                assert "Another writer has taken over" in site.log.read_text(), site.end(worker)
                superseded.append(worker)
                workers[place] = start()
        return site.claims() >= since + 4

    async def scenario() -> None:
        async with processes.flow(site, draw):
            workers.extend([start(), start()])
            for number in range(3):
                # Not in the middle of a rebalance: the group would wait a minute for who sleeps.
                await site.until(lambda: claims(-4) and {worker.pid for worker in workers} == site.owners())
                sleeper = workers[number % 2]
                await asyncio.sleep(draw.uniform(0.5, 1.5))
                sleeper.send_signal(signal.SIGSTOP)
                since = site.claims()
                await site.bury_members()
                await site.until(lambda since=since: claims(since))
                sleeper.send_signal(signal.SIGCONT)
                await asyncio.sleep(draw.uniform(0.1, 0.5))
        await site.until_archived()
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(60)
        assert await site.compare() > 100
        print(f"superseded={len(superseded)}")

    asyncio.run(scenario())
