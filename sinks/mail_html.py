"""A mail's HTML: tables and styles in place, as mail clients want them; nothing from outside is markup or a link."""

import html
from collections.abc import Sequence

from sinks.alert_details import Details
from sinks.summary import Summary
from sinks.text import defang

BODY = 20_000
"""Characters of an alert's description that a mail holds."""

_COLOURS = {"Urgent": "#b3261e", "Major": "#c2410c", "High": "#a16207", "Moderate": "#1d4ed8", "Low": "#15803d"}
_GREY, _INK, _LINE = "#495057", "#1b1f24", "#d9dde2"
_PAGE = f"margin:0;padding:16px;background:#f3f4f6;font-family:Segoe UI,Arial,sans-serif;font-size:14px;color:{_INK}"
_HEADING = f"font-size:13px;margin:18px 0 6px;padding:0 0 4px;border-bottom:1px solid {_LINE};color:{_GREY}"

Entries = Sequence[tuple[str, str]]


def headline(summary: Summary) -> str:
    """Return the line under the title: how urgent, and what happened unless the title says just that."""
    urgency = f"Urgency {summary.urgency.value}/100: {summary.urgency.level}" if summary.urgency else ""
    return " · ".join(filter(None, (urgency, summary.kind if summary.kind != summary.title else "")))


def sections(details: Details) -> list[tuple[str, Entries]]:
    """Return what was looked up, under its headings; an empty one is left out."""
    named = ("Comments, newest first", details.comments), ("Countermeasures", details.countermeasures)
    return [(heading, entries) for heading, entries in named if entries]


def draw(summary: Summary, details: Details | None) -> str:
    """Draw an event; without details, only what the simple form tells."""
    colour = _COLOURS[summary.urgency.level] if summary.urgency else _GREY
    parts = [f'<h1 style="font-size:20px;line-height:1.3;margin:0 0 8px">{_safe(summary.title)}</h1>']
    if told := headline(summary):
        parts.append(f'<p style="margin:0 0 14px;color:{colour};font-weight:600">{_safe(told)}</p>')
    if summary.warning:
        style = "margin:0 0 14px;padding:8px 12px;background:#fdf3d8;color:#6b4a00"
        parts.append(f'<p style="{style}">{_safe(summary.warning)}</p>')
    parts += _table(summary) if details else []
    parts += _body(summary.text(BODY if details else 0, BODY))
    parts += _more(details) if details else []
    if summary.link:
        style = f"display:inline-block;padding:9px 18px;background:{colour};color:#ffffff;text-decoration:none"
        button = f'<a href="{html.escape(summary.link)}" style="{style};font-weight:600">{summary.link_text}</a>'
        parts.append(f'<p style="margin:18px 0 4px">{button}</p>')
    card = f"background:#ffffff;border:1px solid {_LINE};border-top:4px solid {colour};padding:18px 22px"
    foot = f'<p style="margin:10px 0 0;font-size:12px;color:{_GREY}">tocsin {_safe(summary.event_id[:64])}</p>'
    return (
        f'<!doctype html><html><head><meta charset="utf-8"></head><body style="{_PAGE}">'
        f'<div style="max-width:680px;margin:0 auto"><div style="{card}">{"".join(parts)}</div>{foot}</div></body></html>'
    )


def _table(summary: Summary) -> list[str]:
    rows = "".join(_row(name, value) for name, value in summary.facts)
    return (
        [f'<table role="presentation" style="border-collapse:collapse;margin:0 0 12px">{rows}</table>'] if rows else []
    )


def _body(text: str) -> list[str]:
    style = f"white-space:pre-wrap;margin:0;padding:10px 12px;background:#f7f8f9;border-left:3px solid {_LINE}"
    return [f'<p style="{style}">{_safe(text)}</p>'] if text else []


def _more(details: Details) -> list[str]:
    parts = []
    for heading, entries in sections(details):
        parts.append(f'<p style="{_HEADING}">{heading}</p>')
        parts += [_entry(name, text) for name, text in entries]
    if details.lack:
        lack = _safe(f"Comments and countermeasures are not here: {details.lack}")
        parts.append(f'<p style="margin:12px 0 0;font-size:12px;color:{_GREY}">{lack}</p>')
    return parts


def _entry(name: str, text: str) -> str:
    shown = f'<p style="margin:0 0 2px;font-weight:600">{_safe(name)}</p>' if name else ""
    return f'{shown}<p style="margin:0 0 10px;white-space:pre-wrap">{_safe(text)}</p>'


def _row(name: str, value: str) -> str:
    cell = "padding:3px 16px 3px 0;vertical-align:top"
    return f'<tr><td style="{cell};color:{_GREY}">{_safe(name)}</td><td style="{cell}">{_safe(value)}</td></tr>'


def _safe(text: str) -> str:
    return html.escape(defang(text))
