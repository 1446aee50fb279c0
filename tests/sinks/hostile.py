"""Events whose text an attacker wrote."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from events.records import EnrichedEvent, Enrichment, Links, WebhookEvent

LINK = "https://app.sekoia.io/operations/alerts/ALq7Zt3Kx9Pd"

PIECES = [
    "<script>alert(1)</script>", "<at>everyone</at>", "<!channel>", "<!here|x>", "<@U123>", "@channel", "@here", "@all",
    "[click](https://evil.example)", "https://evil.example/a?b=c", "www.evil.example", "*bold* _it_ ~no~ `code`", "| a | b |",
    "# title", "\r\nBcc: victim@example.org\r\n\r\nbody", "\u202egnp.exe", "\x00\x07\x1b[31m", "😀🏴‍☠️", "${jndi:ldap://x}",
    "</b></code></pre>", "&lt;b&gt;&amp;", "=?utf-8?b?QmNjOiB4?=", "A" * 5_000, "{{7*7}}", "\u2028\u2029\u0085", "'\";--",
]  # fmt: skip

TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=40)), max_size=6).map(" ".join)


@st.composite
def events(draw: Any) -> EnrichedEvent:
    """Draw an event that has hostile text in every field a message shows."""
    return event(*(draw(TEXTS) for _ in range(6)), urgency=draw(st.one_of(st.none(), st.integers(0, 100))))


def event(
    title: str = "T", rule: str = "R", entity: str = "E", source: str = "S", details: str = "D", reason: str = "",
    *, urgency: int | None = 75,
) -> EnrichedEvent:  # fmt: skip
    """Make an alert with these texts."""
    alert = {
        "uuid": "3b0f6a52-7d1e-4c7a-9f0b-5a1f2f0c9d11", "title": title, "rule": {"name": rule}, "details": details,
        "entity": {"name": entity}, "source": source, "target": source, "urgency": {"current_value": urgency},
    }  # fmt: skip
    return EnrichedEvent(
        event_id="e1",
        received_at=datetime(2026, 7, 29, 8, 6, 57, tzinfo=UTC),
        event=WebhookEvent(
            type="alert", action="created", attributes={"uuid": alert["uuid"], "short_id": "ALq7Zt3Kx9Pd"}
        ),
        alert=alert,
        enrichment=Enrichment(status="complete", reason=reason or None),
        links=Links(alert=LINK),
    )
