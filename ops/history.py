"""Reading back what lies in the enriched topic, up to where it ended when the reading began."""

import re
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

from aiokafka import ConsumerRecord

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics
from ops.scan import scan

SAID_EVERY = 5.0
"""Seconds between two lines about how far a long reading is."""

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_SINCE = re.compile(r"(\d{1,4})([mhd])")


def since(text: str) -> timedelta:
    """Read how far back: 30m, 24h, 7d.

    Raises NotReady.
    """
    match = _SINCE.fullmatch(text.strip().lower())
    if not match:
        raise NotReady(f"{text!r} is no length of time; write 30m, 24h or 7d.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


async def enriched(kafka: KafkaSettings, back: timedelta) -> AsyncGenerator[ConsumerRecord, None]:
    """Yield the records of a time, partition by partition in order; a line on stderr says how far a long one is.

    Raises NotReady when the cluster does not answer or has no such topic.
    """
    said = time.monotonic()

    def tell(passed: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said > SAID_EVERY:
            said = time.monotonic()
            print(f"… {passed:,} of {total:,} places in the topic read", file=sys.stderr)

    topic, begin = Topics(kafka.topic_prefix).enriched, datetime.now(UTC) - back
    async with aclosing(scan(kafka, topic, since=begin, progress=tell)) as records:
        async for record in records:
            yield record
