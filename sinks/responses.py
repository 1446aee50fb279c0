"""What an HTTP answer means for the event: taken, again later, or never."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from sinks.destination import Gone, Unavailable, Undeliverable
from sinks.limits import Allowance
from sinks.text import clean

AGAIN = frozenset({408, 425, 429})
"""Besides 5xx, the answers that ask for the same request again."""

GONE = 410
"""The address asks never to be called again; Standard Webhooks has the sender disable it."""

LONGEST_RETRY_AFTER = 3600.0
"""Seconds; a longer wait is cut, so that one wrong header does not silence a target for a day."""

_MAX_QUOTE = 160
_MOST = 1_000_000


@dataclass(frozen=True)
class Answer:
    """Status, headers (lower case names) and the first bytes of a body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def check(answer: Answer, now: datetime | None = None) -> None:
    """Return when the target took the event.

    Raises Unavailable for 408, 425, 429 and 5xx, Gone for 410, Undeliverable for everything else: redirects are never followed.
    """
    if 200 <= answer.status < 300:  # noqa: PLR2004
        return
    reason = f"HTTP {answer.status}{quote(answer.body)}"
    if answer.status in AGAIN or answer.status >= 500:  # noqa: PLR2004
        raise Unavailable(reason, retry_after(answer.headers.get("retry-after"), now or datetime.now(UTC)))
    if answer.status == GONE:
        raise Gone(reason)
    raise Undeliverable(reason)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Read a Retry-After header in either form (RFC 9110 §10.2.3): seconds from now, bounded; None when unreadable."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            time = parsedate_to_datetime(value)
        except (ValueError, IndexError, TypeError):
            return None
        seconds = ((time if time.tzinfo else time.replace(tzinfo=UTC)) - now).total_seconds()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def allowance(headers: Mapping[str, str]) -> Allowance | None:
    """Read X-RateLimit-Limit, -Remaining and -Reset, the last in seconds from now (Mattermost); None unless all make sense."""
    try:
        limit, remaining, reset = (int(headers[f"x-ratelimit-{name}"]) for name in ("limit", "remaining", "reset"))
    except (KeyError, ValueError):
        return None
    fits = 2 <= limit <= _MOST and 0 <= remaining <= limit and 0 <= reset <= LONGEST_RETRY_AFTER  # noqa: PLR2004
    return Allowance(limit, remaining, float(reset)) if fits else None


def quote(body: bytes) -> str:
    """Return a short excerpt of an answer fit for a log; words that may be an address or a credential are left out."""
    words = re.split(r"[\s\x00-\x1f\x7f\"'<>,;{}]+", body[:2048].decode("utf-8", "replace"))
    kept = [word if _harmless(word) else "…" for word in words if word]
    text = clean(" ".join(kept), _MAX_QUOTE)
    return f": {text}" if text else ""


def _harmless(word: str) -> bool:
    return len(word) <= 30 and "://" not in word and "=" not in word and "%" not in word and "sig" not in word.lower()  # noqa: PLR2004
