"""The faults of a drill that break Kafka or a room: stopped, killed, or without room for more."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from events.errors import NotReady
from events.topics import Topics, contract
from ops import topics
from ops.topic_shape import CLOSED, SIZE
from sandbox.drill_site import Site

BACK_WITHIN = 180.0
"""Seconds for a killed broker to be back; four on a machine that has nothing else to do."""

MOST_KILLS = 6

LARGE, POSTS = 60_000, 100
"""Bytes of a webhook that is to fill the spool, and how many of them are more than it takes."""

Fault = Callable[[Site], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def kafka_down(site: Site) -> AsyncIterator[None]:
    """Kill the broker."""
    await asyncio.to_thread(site.broker.kill)
    yield
    await asyncio.to_thread(site.broker.restart)
    await site.broker.ready(within=BACK_WITHIN)


@asynccontextmanager
async def kafka_hangs(site: Site) -> AsyncIterator[None]:
    """Stop the broker in its tracks, and post a webhook."""
    site.broker.pause()
    try:
        await site.post_alert()  # answered, and written to the spool
        yield
    finally:
        site.broker.resume()
    await site.broker.ready(within=BACK_WITHIN)


@asynccontextmanager
async def kafka_readonly(site: Site) -> AsyncIterator[None]:
    """Let the broker answer, give all there is to read, and take no record, and post a webhook."""
    await _limit_records(site, CLOSED[0])
    try:
        await site.post_alert()
        yield
    finally:
        await _limit_records(site)


async def _limit_records(site: Site, size: str | None = None) -> None:
    """Set the largest record of the topics; what the contract says without a size."""
    names = Topics(site.kafka.topic_prefix)
    of_each = {each.name: each.config for each in contract(site.kafka) if each.name in (names.raw, names.enriched)}
    # The request replaces all a topic was given.
    wanted = [
        ConfigResource(ConfigResourceType.TOPIC, name, config | ({SIZE: size} if size else {}))
        for name, config in of_each.items()
    ]

    async def change(admin: AIOKafkaAdminClient) -> None:
        for answer in await admin.alter_configs(wanted):
            for code, message, *_ in answer.resources:
                if code:
                    raise NotReady(f"Kafka does not let us change its topics: {message}.")

    await topics.asked(site.kafka, change)


@asynccontextmanager
async def topics_missing(site: Site) -> AsyncIterator[None]:
    """Delete the topic that nobody needs as long as nothing is buried."""

    async def delete(admin: AIOKafkaAdminClient) -> None:
        await admin.delete_topics([Topics(site.kafka.topic_prefix).dead_letters])

    await topics.asked(site.kafka, delete)
    yield
    await topics.ensure(site.kafka)


@asynccontextmanager
async def webhooks_refused(site: Site) -> AsyncIterator[None]:
    """Post large webhooks while the broker stands still, until the spool takes no more."""
    site.broker.pause()
    try:
        for _ in range(POSTS):
            body = site.tenant.create_alert(oddity="")
            body["attributes"]["padding"] = "x" * LARGE
            if (answer := await site.post(body)).status_code == httpx.codes.SERVICE_UNAVAILABLE:
                break
            answer.raise_for_status()
        yield
    finally:
        site.broker.resume()
    await site.broker.ready(within=BACK_WITHIN)


def frozen(room: str) -> Fault:
    """Return the fault of a room that is stopped in its tracks."""

    @asynccontextmanager
    async def fault(site: Site) -> AsyncIterator[None]:
        site.supervisor.pause(room)
        try:
            yield
        finally:
            site.supervisor.resume(room)

    return fault


@asynccontextmanager
async def restarting(site: Site) -> AsyncIterator[None]:
    """Kill ingest until it is told: on a busy machine the starts may lie so far apart that two of them are not many."""
    for _ in range(MOST_KILLS):
        before = site.supervisor.restarts("ingest")
        site.supervisor.kill("ingest")
        await site.back("ingest", before)
        await site.looked()
        if "room_restarting/ingest" in (await site.raised() or ()):
            break
    yield
