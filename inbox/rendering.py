"""Templates: autoescaped, strict, and without a way to anything but what they are given."""

import hashlib
import re
import time
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

import jinja2
import markupsafe

from inbox import runbook
from inbox.filters import NAMES, Filters
from inbox.listing import Rows
from inbox.notification import level

WORDS = {name: name.capitalize() for name in NAMES}
_MARKED = re.compile(r"`([^`]+)`|\[([^\]]+)\]\(([^)]+)\)")
_STEPS = ((86400, "d"), (3600, "h"), (60, "min"))


class Pages:
    """Every page and fragment."""

    def __init__(self) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("inbox", "pages"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "age": age,
            "moment": moment,
            "iso": iso,
            "level": level,
            "words": WORDS.get,
            "kind": kind,
            "sentence": sentence,
        }
        self._environment.globals |= {"asset": asset, "RUNBOOK": runbook, "NAMES": NAMES, "WORDS": WORDS}

    def page(self, name: str, **values: Any) -> str:
        """Render a template."""
        return self._environment.get_template(name).render(values)

    def rows(self, rows: Rows, filters: Filters, *, member: bool = False) -> str:
        """Render rows of the list, or the members of a burst."""
        return self.page("rows.html", rows=rows.rows, filters=filters, member=member)


def age(seconds: float) -> str:
    """Say how long ago a Unix time was, in one word."""
    passed = time.time() - seconds
    for size, unit in _STEPS:
        if passed >= size:
            return f"{int(passed // size)} {unit}"
    return "now"


def kind(types: str) -> str:
    """Say what a thread without an urgency is about; `types` as the thread lists them."""
    return "Case" if ",case," in types else "Report" if ",content-proposal," in types else "Event"


def sentence(text: str) -> markupsafe.Markup:
    """Write a sentence of the runbook: commands set apart, other entries linked, other pages named."""
    text = text[:1].upper() + text[1:]
    out, end = markupsafe.Markup(""), 0
    for found in _MARKED.finditer(text):
        out += text[end : found.start()]
        end = found.end()
        command, said, address = found.groups()
        if command:
            out += markupsafe.Markup("<code>{}</code>").format(command)
        elif address.startswith("#"):
            out += markupsafe.Markup('<a href="{}">{}</a>').format(address, runbook.title(said))
        else:
            out += f"docs/{address}" if said == address else f"{said} (docs/{address})"
    return out + text[end:]


def moment(seconds: float) -> str:
    """Write a Unix time for people, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(seconds: float) -> str:
    """Write a Unix time for a browser."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


@cache
def edition() -> str:
    """Return the hash of all assets together: modules import each other, and never one of another edition."""
    files = sorted(resources.files("inbox").joinpath("assets").iterdir(), key=lambda each: each.name)
    return hashlib.sha256(b"".join(each.name.encode() + each.read_bytes() for each in files)).hexdigest()[:12]


def asset(name: str) -> str:
    """Return an asset's address; it changes with the edition, so a browser may keep it for ever."""
    return f"/assets/{edition()}/{name}"
