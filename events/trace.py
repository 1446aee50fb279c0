"""W3C Trace Context: what of a `traceparent` is believed, and the next step of a trace (https://www.w3.org/TR/trace-context/)."""

import re
import secrets

TRACEPARENT = "traceparent"
"""Name of the header, in HTTP as in Kafka."""

_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")


def well_formed(text: object) -> str | None:
    """Return a trace context if it is one; it comes from outside, so anything else is dropped."""
    return text if isinstance(text, str) and _FORM.fullmatch(text) else None


def trace_id(text: str | None) -> str | None:
    """Return the id all steps of a trace share, as logs name it."""
    match = _FORM.fullmatch(text or "")
    return match[1] if match else None


def child(text: str) -> str | None:
    """Return the context for a request of ours: the same trace, a step of its own; None for what is no context."""
    match = _FORM.fullmatch(text)
    return f"00-{match[1]}-{secrets.token_hex(8)}-{match[2]}" if match else None
