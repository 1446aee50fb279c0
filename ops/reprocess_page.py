"""`tocsin reprocess` as a command: the worker it starts, how far that is, and what it says at the end."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from rich.console import Console
from rich.text import Text

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics, contract
from ops import kafka_errors, private_ports, topics, why
from ops.bar import Bar
from ops.dead_letters import safe
from ops.reprocess import Asked, Compared, compare, copy, count
from ops.scan import reading
from sinks.archive.manifest import BrokenManifest
from sinks.positions import committed
from stream.settings import SekoiaSettings

STALLED = 120.0
"""Seconds without any progress after which it is said what is left, and not waited for any more."""
SHOWN = 20

console = Console(highlight=False)


def run(since: datetime, until: datetime | None, *, yes: bool, keep: bool) -> int:
    """Count, and with `yes` go through it again; return 1 where something is not as it was.

    Raises NotReady.
    """
    kafka, notes = KafkaSettings(), list[str]()
    if not SekoiaSettings().api_key.get_secret_value():
        raise NotReady("SEKOIA_API_KEY is not set: the stream looks alerts up.")
    prefix = f"{kafka.topic_prefix}reprocess-{uuid.uuid4().hex[:8]}."
    asked = Asked(since, until or datetime.now(UTC), prefix, why.archive_at_hand(notes))
    for note in notes:
        console.print(Text(f"note: {safe(note)}", "dim"))
    try:
        with kafka_errors.told(kafka):
            return asyncio.run(_run(kafka, asked, yes=yes, keep=keep))
    except BrokenManifest as error:
        raise NotReady(f"The archive cannot be believed: {error}") from error


async def _run(kafka: KafkaSettings, asked: Asked, *, yes: bool, keep: bool) -> int:
    span = f"{asked.since:%Y-%m-%d %H:%M:%S} to {asked.until:%Y-%m-%d %H:%M:%S} UTC"
    with Bar("counting") as bar:
        counted = await count(kafka, asked, bar.show)
    console.print(f"{counted:>12,}  raw records came in from {span}")
    if not yes:
        console.print("Nothing is done without --yes.")
        return 0
    found = await go_through(kafka, asked, keep=keep)
    show(found)
    if keep:
        console.print(f"What was made is in {asked.prefix}enriched.v1.")
    return 1 if found.only_before() else 0


async def go_through(kafka: KafkaSettings, asked: Asked, *, keep: bool) -> Compared:
    """Copy, let a worker handle it, compare, and remove the topics unless they are to be kept.

    Raises NotReady, BrokenManifest.
    """
    async with reading(kafka) as reader:
        partitions = len(await reader.partitions(Topics(kafka.topic_prefix).raw))
    own = kafka.model_copy(update={"topic_prefix": asked.prefix, "partitions": partitions})
    # Copies keep their times: by the contract's retention Kafka would drop what came in weeks ago before it is handled.
    await topics.ensure(own, {"retention.ms": "-1"})
    try:
        with Bar("copying") as bar:
            found = await copy(kafka, asked, bar.show)
        async with _worker(kafka, asked.prefix, partitions) as address:
            with Bar("handling") as bar:
                await _handled(own, address, bar)
        return await compare(kafka, asked, found)
    finally:
        if not keep:
            await _remove(own)


@asynccontextmanager
async def _worker(kafka: KafkaSettings, prefix: str, partitions: int) -> AsyncIterator[str]:
    """Run a worker of the stream and yield its private address. Raises NotReady when it ends by itself."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="tocsin-reprocess-") as folder:
        log = Path(folder) / "worker.log"
        env = os.environ | {"STREAM_ADMIN_PORT": str(port), "STREAM_DATA": folder, "KAFKA_PARTITIONS": str(partitions)}
        env |= {"KAFKA_TOPIC_PREFIX": kafka.topic_prefix, "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                *_command(prefix),
                env=env,
                stdout=out,
                stderr=out,
                start_new_session=True,  # Ctrl-C in the terminal is for the command, which then stops it
            )
        ended = asyncio.create_task(process.wait())
        work = asyncio.current_task()
        ended.add_done_callback(lambda _: work.cancel() if work and not stopping else None)
        stopping = False
        try:
            yield f"http://127.0.0.1:{port}"
        except asyncio.CancelledError:
            if not ended.done():
                raise
            last = log.read_text("utf-8", "replace").splitlines()[-3:]
            raise NotReady(f"The worker ended with exit code {process.returncode}: {' '.join(last)}") from None
        finally:
            stopping = True
            if not ended.done():
                process.send_signal(signal.SIGTERM)
                await asyncio.wait([ended], timeout=20)
            if not ended.done():
                process.kill()
                await ended


def _command(prefix: str) -> list[str]:
    python = [sys.executable, "-P", "-m"]
    return [*python, "sandbox.leash", "--parent", str(os.getpid()), "--", *python, "ops.reprocess_worker", prefix]


async def _handled(own: KafkaSettings, address: str, bar: Bar) -> None:
    """Wait until the worker has handled all and no event waits for its alert, or nothing goes on any more."""
    loop, raw = asyncio.get_running_loop(), Topics(own.topic_prefix).raw
    async with reading(own) as reader:
        ends = {place: span.end for place, span in (await reader.spans(await reader.partitions(raw))).items()}
    last, since = (-1, -1), loop.time()
    while loop.time() - since < STALLED:
        left, pending = await _left(own, ends), await _pending(address)
        bar.show(sum(ends.values()) - left, sum(ends.values()))
        if (left, pending) == (0, 0):
            return
        if (left, pending) != last:
            last, since = (left, pending), loop.time()
        await asyncio.sleep(1.0)
    console.print(
        f"Nothing went on for {STALLED:.0f} s: {last[0]} records are left, {last[1]} events wait for their alert."
    )


async def _left(own: KafkaSettings, ends: dict[TopicPartition, int]) -> int:
    places = await committed(own, "stream", list(ends))
    return sum(end - places[place][0] if place in places else end for place, end in ends.items())


async def _pending(address: str) -> int:
    """Return how many events wait; -1 while the worker does not say."""
    (said,) = await private_ports.health([address]) or [{}]
    return int(said.get("pending", -1))


async def _remove(own: KafkaSettings) -> None:
    async def delete(admin: AIOKafkaAdminClient) -> None:
        await admin.delete_topics([topic.name for topic in contract(own)])

    await topics.asked(own, delete)


def show(found: Compared) -> None:
    """Print what was made then and now."""
    lines: Sequence[tuple[int, str]] = (
        (len(found.events), "events are in them"),
        (len(found.before.keys() & found.events), "enriched then"),
        (len(found.now), "enriched now"),
        (found.letters, "dead letters now"),
        *((n, f"{before} then, {now} now") for before, now, n in found.statuses() if before != now),
    )
    for number, words in lines:
        console.print(Text(f"{number:>12,}  {safe(words)}"))
    if found.known_since:
        since = f"{found.known_since:%Y-%m-%d %H:%M:%S} UTC"
        note = f"what was enriched before {since} has left Kafka and is not in an archive at hand: it counts as nothing then"
        console.print(Text(f"note: {note}", "dim"))
    for title, events in (("only then", found.only_before()), ("only now", found.only_now())):
        for event in events[:SHOWN]:
            console.print(Text(f"{title}: {safe(event)}"))
        if len(events) > SHOWN:
            console.print(f"{title}: {len(events) - SHOWN:,} more")
