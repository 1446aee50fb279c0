"""The doctor's look at dead letters that nobody dealt with and that Kafka will soon drop."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics
from ops import kafka_errors
from ops.findings import Asked, Finding, skipped, warning, well
from ops.letters import KEPT, WARN, Wanted, leaving
from ops.redrive import look as all_letters
from ops.scan import reading

CHECK = "letters"
WITHIN = 30.0
"""Seconds for reading all letters."""


async def look(_asked: Asked) -> AsyncIterator[Finding]:
    """Say how many open letters leave within a week."""
    kafka = KafkaSettings()
    try:
        with kafka_errors.told(kafka):
            async with asyncio.timeout(WITHIN):
                soon = await _soon(kafka, datetime.now(UTC))
    except NotReady:  # what is wrong with Kafka or its topics stands in their own checks
        yield skipped(CHECK, "not looked at: Kafka could not be asked.")
    except TimeoutError:
        yield skipped(
            CHECK, f"not looked at: they cannot be read in {WITHIN:.0f} s.", "run `tocsin dead-letters list`."
        )
    else:
        if soon is None:
            yield well(CHECK, f"none that is open leaves Kafka within {WARN.days} days.")
            return
        count, left = soon
        yield warning(
            CHECK,
            f"{count:,} open dead letters leave Kafka for good within {WARN.days} days, the first in "
            f"{max(left, timedelta()) / timedelta(days=1):.1f}",
            "look at them with `tocsin dead-letters list`, then redrive or drop them.",
        )


async def _soon(kafka: KafkaSettings, now: datetime) -> tuple[int, timedelta] | None:
    async with reading(kafka) as reader:
        spans = await reader.spans(await reader.partitions(Topics(kafka.topic_prefix).dead_letters))
        young = await reader.places(spans, now - (KEPT - WARN))
    if all(young[each] <= span.start for each, span in spans.items()):
        return None  # as nearly always: not even one that was dealt with is as old
    return leaving((await all_letters(kafka, lambda _passed, _all: None)).open(Wanted()), now)
