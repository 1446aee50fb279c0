"""The doctor's look at the vendor's API: key, permission, expiry, clock, and how many alerts a call brings."""

import base64
import binascii
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import orjson

from events.errors import NotReady
from events.settings import KafkaSettings
from events.slots import Slots
from ops import tenant
from ops.findings import Asked, Finding, failed, skipped, split, warning, well
from ops.share import Share, share
from sinks.text import clean
from stream.alert_api import PAGE, AlertApi, BatchRefused, Refused, Unavailable
from stream.fetching import Fetching
from stream.settings import SekoiaSettings, StreamSettings

SOON = timedelta(days=14)
"""How long before its end a key is worth a word."""

APART = 2.0
"""Seconds our clock may be from the vendor's: its header has whole seconds, and the way takes a moment."""

_KEY = "make a new key with the permission SIC_READ_ALERTS (View alerts) and run `tocsin connect`; check SEKOIA_REGION too."
_CLOCK = "switch on time synchronisation on this machine (`timedatectl set-ntp true`, or chrony)."


async def look(_asked: Asked) -> AsyncIterator[Finding]:
    """Ask for the key's owner, its newest alert, and for two alerts in one call; four calls, in the slots left to the operator."""
    settings = SekoiaSettings()
    key = settings.api_key.get_secret_value()
    if not key:
        yield failed(
            "sekoia.key", "SEKOIA_API_KEY is not set", "run `tocsin connect`, or set it; `tocsin up` goes without."
        )
        yield _clock(None)
        return
    async with share(settings, KafkaSettings()) as pace:
        async for finding in _look(settings, pace):
            yield finding


async def _look(settings: SekoiaSettings, pace: Share) -> AsyncIterator[Finding]:
    try:
        found = await tenant.look(settings, pace)
    except tenant.Refused as error:
        apart = _between(error.answer, time.time())
        yield _refused(str(error))
        yield _clock(apart)  # by that answer: another question would count as another error
        return
    except NotReady as error:
        yield _refused(str(error))
        yield _clock(None)
        return
    yield well(
        "sekoia.key",
        f"the key works{f', it is named {clean(found.name, 60)}' if found.name else ''}, and may read alerts.",
    )
    if (end := expiry(settings.api_key.get_secret_value())) and (left := end - datetime.now(UTC)) < SOON:
        yield warning("sekoia.expiry", f"the key ends in {left / timedelta(days=1):.0f} days, on {end:%Y-%m-%d}", _KEY)
    apart = await _apart(settings, pace)
    if apart is not None and apart:
        apart = await _apart(settings, pace)  # one answer may have been held up on its way
    yield _clock(apart)
    yield await _list(settings, StreamSettings(), pace)


def _refused(sentence: str) -> Finding:
    finding = split("sekoia.key", sentence, _KEY)
    if "(401)" in finding.found:
        return failed("sekoia.key", sentence.rstrip("."), _KEY)
    return finding


def expiry(key: str) -> datetime | None:
    """Return when a key ends that says so itself, as those in the form of a JWT do; it is not verified."""
    try:
        payload = key.split(".")[1]
        end = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
        return datetime.fromtimestamp(end, UTC)
    except (binascii.Error, LookupError, TypeError, ValueError, OverflowError, OSError):
        return None


def _clock(apart: float | None) -> Finding:
    if apart is None:
        return skipped("machine.clock", "not compared: the vendor told no time.")
    if not apart:
        return well("machine.clock", "it agrees with the vendor's.")
    way = "ahead of" if apart > 0 else "behind"
    return failed("machine.clock", f"it is {abs(apart):,.0f} s {way} the vendor's", _CLOCK)


async def _apart(settings: SekoiaSettings, pace: Share) -> float | None:
    """Return how many seconds our clock is ahead of the vendor's, 0 where they agree, None where it tells no time."""
    try:
        async with tenant.client(settings, pace) as client:
            answer = await client.get("/v1/me")
    except (httpx.HTTPError, NotReady):
        return None
    return _between(answer, time.time())


def _between(answer: httpx.Response, after: float) -> float | None:
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", "")).timestamp() + 0.5  # it has whole seconds
    except ValueError:
        return None
    before = after - answer.elapsed.total_seconds()  # without the wait for our turn
    apart = (before + after) / 2 - theirs
    return apart if abs(apart) > APART + after - before else 0.0


async def _list(settings: SekoiaSettings, stream: StreamSettings, pace: Share) -> Finding:
    rate = Slots(settings.requests_per_second).stream
    async with AlertApi(settings) as api:
        api.before_send = pace.leave
        fetching = Fetching(api, pace.slots)
        try:
            await fetching.check()
        except NotReady as error:
            return skipped("sekoia.list", str(error))
        except BatchRefused as error:
            if error.counts:
                pace.failed(str(error))
            return warning(
                "sekoia.list",
                f"the list takes one alert a call here, which leaves the stream {rate:g} alerts/s for all its workers",
                "nothing is lost: what comes faster goes out at once and is completed later. Look whether a proxy before the "
                "API cuts the query, and ask the vendor whether match[uuid] takes several values in your region.",
            )
        except (Refused, Unavailable) as error:
            pace.failed(str(error))
            return failed(
                "sekoia.list", f"the list does not answer ({error})", "try again in ten minutes; then ask the vendor."
            )
    size = min(stream.batch_size, PAGE)
    if fetching.batches is None:
        return skipped("sekoia.list", "whether it takes several alerts in a call shows when the tenant has two alerts.")
    return well(
        "sekoia.list",
        f"it takes {size} alerts a call, which leaves the stream {rate * size:,.0f} alerts/s ({rate:g} calls/s).",
    )
