"""What is known of one target's canaries: when one was sent, and when it was last seen; and what that proves."""

import hashlib
import hmac
import os
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import orjson

from events.errors import NotReady
from sinks.proof import Canary


class Unsaved(NotReady):
    """What is known of a canary could not be written down."""


State = Literal["proved", "overdue", "missed", "not proved"]


@dataclass(frozen=True)
class Record:
    """Times are Unix seconds."""

    sent_at: float | None = None
    """When the last one was accepted by the target."""
    first_at: float | None = None
    """When the first one was, since it was last proved."""
    tried_at: float | None = None
    code: str = ""
    """SHA-256 of what confirms the last one; empty where a person's word is not asked for."""
    proved_at: float | None = None
    trouble: str = ""
    """Why the last try proved nothing; empty when it did, or nobody has answered yet."""

    def save(self, folder: Path, target: str) -> None:
        """Replace the file whole, or not at all. Raises Unsaved when that cannot be done, as on a full disk."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            draft = folder / f"{target}.json.{os.getpid()}"
            draft.write_bytes(orjson.dumps(asdict(self)))
            draft.replace(folder / f"{target}.json")
        except OSError as error:
            raise Unsaved(f"The canary of {target} cannot be written to {folder}: {error.strerror}.") from error

    @classmethod
    def load(cls, folder: Path, target: str) -> "Record":
        """Read it; empty before the first canary. Raises NotReady for a file that is not one."""
        path = folder / f"{target}.json"
        try:
            return cls(**orjson.loads(path.read_bytes()))
        except FileNotFoundError:
            return cls()
        except (orjson.JSONDecodeError, TypeError) as error:
            raise NotReady(f"{path} cannot be read: remove it; the target counts as never proved then.") from error

    def sent(self, now: float, code: str) -> "Record":
        """Note a canary the target has accepted."""
        first = now if self.first_at is None else self.first_at
        return replace(self, sent_at=now, first_at=first, tried_at=now, code=digest(code) if code else "", trouble="")

    def failed(self, now: float, trouble: str) -> "Record":
        """Note a canary that was not accepted, or not read back."""
        return replace(self, tried_at=now, trouble=trouble)

    def proved(self, now: float) -> "Record":
        """Note that the last one was seen."""
        return replace(self, proved_at=now, first_at=None, code="", trouble="")

    def fits(self, code: str) -> bool:
        """Say whether this code confirms the last canary."""
        return bool(self.code) and hmac.compare_digest(self.code, digest(code))


def digest(code: str) -> str:
    """Return what of a code is kept."""
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def due(canary: Canary, record: Record, now: float) -> bool:
    """Say whether it is time for the next one."""
    if canary.proof == "accepted_only":
        return False
    last = record.tried_at
    # One that failed is tried again sooner: most of what makes it fail passes.
    pause = canary.period / 24 if record.trouble else canary.period
    return last is None or not 0 <= now - last < pause.total_seconds()


def state(canary: Canary, record: Record, now: float) -> State:
    """Return what is proved now: a proof counts until a seventh of the period after the next one was due."""
    if canary.proof == "accepted_only":
        return "not proved"
    fresh = record.proved_at is not None and now - record.proved_at < _counts(canary).total_seconds()
    if canary.proof == "read_back":
        return "proved" if fresh and not record.trouble else "missed"
    return "proved" if fresh else "overdue"


def complaint(canary: Canary, record: Record, now: float) -> str:
    """Return why operators should know of it, empty while there is no reason; people get time to answer the first one."""
    found = state(canary, record, now)
    if found == "missed":
        return record.trouble or ("" if record.tried_at is None else "It was not read back lately")
    if found != "overdue" or record.first_at is None:
        return record.trouble if found == "overdue" else ""
    waited = now - record.first_at
    if waited < (canary.period / 7).total_seconds():
        return ""
    since = datetime.fromtimestamp(record.first_at, UTC)
    return f"Nobody has confirmed a canary since {since:%Y-%m-%d %H:%M} UTC"


def _counts(canary: Canary) -> timedelta:
    return canary.period + canary.period / 7
