"""An event drawn as a mail: text and HTML, one thread per alert, nothing from outside in a header unguarded."""

import hashlib
import html
import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from events.records import EnrichedEvent
from sinks.summary import Summary, summarise
from sinks.text import defang

ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
"""A plain address; RFC 5322 allows more than anybody uses."""

_COLOURS = {"Urgent": "#b3261e", "Major": "#c2410c", "High": "#a16207", "Moderate": "#1d4ed8", "Low": "#15803d"}
_GREY = "#495057"
_SUBJECT, _BODY = 150, 20_000


def compose(event: EnrichedEvent, *, sender: str, to: list[str], enriched: bool) -> EmailMessage:
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
    mail.set_content(_text(summary, enriched=enriched))
    mail.add_alternative(_html(summary, enriched=enriched), subtype="html")
    return mail


def _id(sender: str, *parts: str) -> str:
    # Hashed: an id from outside may hold anything, and a header must not.
    name = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"<{parts[0]}.{name}@{sender.rpartition('@')[2]}>"


def _text(summary: Summary, *, enriched: bool) -> str:
    lines = [defang(summary.title), _headline(summary), *([summary.warning] if summary.warning else [])]
    if enriched:
        lines += ["", *(f"{name}: {defang(value)}" for name, value in summary.facts)]
    if body := defang(summary.text(_BODY if enriched else 0, _BODY)):
        lines += ["", body]
    lines += ["", f"Open in Sekoia.io: {summary.link}"] if summary.link else []
    return "\n".join([*lines, "", f"-- \ntocsin {summary.event_id[:64]}"])


def _html(summary: Summary, *, enriched: bool) -> str:
    colour = _COLOURS[summary.urgency.level] if summary.urgency else _GREY
    parts = [
        f'<h1 style="font-size:18px;margin:0 0 4px">{_safe(summary.title)}</h1>',
        f'<p style="margin:0 0 12px;color:{colour};font-weight:600">{_safe(_headline(summary))}</p>',
    ]
    if summary.warning:
        parts.append(f'<p style="margin:0 0 12px;color:#a16207">{_safe(summary.warning)}</p>')
    if enriched and summary.facts:
        rows = "".join(_row(name, value) for name, value in summary.facts)
        parts.append(f'<table role="presentation" style="border-collapse:collapse;margin:0 0 12px">{rows}</table>')
    if body := summary.text(_BODY if enriched else 0, _BODY):
        parts.append(f'<p style="white-space:pre-wrap;margin:0 0 12px">{_safe(body)}</p>')
    if summary.link:
        style = "display:inline-block;padding:8px 14px;background:#1f3a5f;color:#ffffff;border-radius:4px"
        parts.append(f'<p><a href="{html.escape(summary.link)}" style="{style}">Open in Sekoia.io</a></p>')
    body = "".join(parts)
    frame = f"border-left:4px solid {colour};padding:4px 16px;font-family:Arial,sans-serif;font-size:14px;color:#1b1f24"
    return (
        f'<!doctype html><html><head><meta charset="utf-8"></head><body><div style="{frame}">{body}</div></body></html>'
    )


def _row(name: str, value: str) -> str:
    cell = "padding:2px 12px 2px 0;vertical-align:top"
    return f'<tr><td style="{cell};color:{_GREY}">{_safe(name)}</td><td style="{cell}">{_safe(value)}</td></tr>'


def _safe(text: str) -> str:
    return html.escape(defang(text))


def _headline(summary: Summary) -> str:
    urgency = f"Urgency {summary.urgency.value}/100: {summary.urgency.level} · " if summary.urgency else ""
    return f"{urgency}{summary.kind}"
