"""An event drawn as a mail: text and HTML, one thread per alert, nothing from outside in a header unguarded."""

import hashlib
import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from events.records import EnrichedEvent
from sinks.alert_details import Details
from sinks.mail_html import BODY, draw, headline, sections
from sinks.summary import Summary, summarise
from sinks.text import defang

ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
"""A plain address; RFC 5322 allows more than anybody uses."""

_SUBJECT = 150


def compose(
    event: EnrichedEvent, *, sender: str, to: list[str], enriched: bool, details: Details | None = None
) -> EmailMessage:
    """Return the mail; the same event makes the same Message-ID, and mails of one alert refer to one root."""
    summary = summarise(event)
    mail = EmailMessage(policy=SMTP)
    level = f"[{summary.urgency.level} {summary.urgency.value}] " if summary.urgency else ""
    mail["Subject"] = f"{level}{summary.title}"[:_SUBJECT]
    mail["From"] = Address("tocsin", addr_spec=sender)
    mail["To"] = [Address(addr_spec=one) for one in to]
    mail["Date"] = format_datetime(event.received_at)
    mail["Message-ID"] = _id(sender, "event", event.event_id, str(event.revision))
    if event.event.alert_uuid:
        root = _id(sender, "alert", event.event.alert_uuid)
        mail["In-Reply-To"] = root
        mail["References"] = root
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    if summary.urgency and summary.urgency.level == "Urgent":
        mail["Importance"] = "high"
    known = (details or Details()) if enriched else None
    mail.set_content(_text(summary, known))
    mail.add_alternative(draw(summary, known), subtype="html")
    return mail


def _id(sender: str, *parts: str) -> str:
    # Hashed: an id from outside may hold anything, and a header must not.
    name = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"<{parts[0]}.{name}@{sender.rpartition('@')[2]}>"


def _text(summary: Summary, details: Details | None) -> str:
    lines = [line for line in (defang(summary.title), headline(summary), summary.warning) if line]
    if details:
        lines += ["", *(f"{name}: {defang(value)}" for name, value in summary.facts)]
    if body := defang(summary.text(BODY if details else 0, BODY)):
        lines += ["", body]
    if details:
        for heading, entries in sections(details):
            lines += ["", heading]
            lines += [defang(f"- {name}: {text}" if text else f"- {name}") for name, text in entries]
        lines += ["", f"Comments and countermeasures are not here: {details.lack}"] if details.lack else []
    lines += ["", f"{summary.link_text}: {summary.link}"] if summary.link else []
    return "\n".join([*lines, "", f"-- \ntocsin {summary.event_id[:64]}"])
