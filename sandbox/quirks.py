"""Quirks: ways in which a real tenant may differ from its documentation, to be switched on one by one."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from events.errors import NotReady
from events.settings import parse_duration

KNOWN = {
    "batch-ignored": "match[uuid] with several values lists everything (=first: only the first value counts)",
    "batch-400": "match[uuid] with several values is refused",
    "list-lag=5s": "an alert appears in the list that long after its creation; GET by id knows it at once",
    "forbidden-community": "the key may not read communities",
    "html-200": "every 5th good answer of the API is a web page (=N: every Nth)",
    "accept-and-drop": "Teams answers 202 and shows nothing",
}
"""What each quirk does, by how it is written."""


@dataclass(frozen=True)
class Quirks:
    """Which quirks are on."""

    batch_ignored: str = ""
    batch_400: bool = False
    list_lag: float = 0.0
    forbidden_community: bool = False
    html_200: int = 0
    accept_and_drop: bool = False

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "Quirks":
        """Read quirks such as `batch-400` or `list-lag=5s`; list_lag is in seconds.

        Raises NotReady when one is unknown or its value makes no sense.
        """
        quirks = cls()
        for text in texts:
            name, _, value = text.strip().partition("=")
            quirks = replace(quirks, **_read(name, value, text))
        return quirks


def _read(name: str, value: str, text: str) -> dict[str, Any]:
    if name == "list-lag":
        lag = parse_duration(value or "5s")
        if not hasattr(lag, "total_seconds"):
            raise NotReady(f"Quirk {text!r} needs a time, for example list-lag=5s.")
        return {"list_lag": lag.total_seconds()}
    if name == "html-200" and (value or "5").isascii() and (value or "5").isdigit() and int(value or "5") > 0:
        return {"html_200": int(value or "5")}
    if name == "batch-ignored" and value in {"", "first", "all"}:
        return {"batch_ignored": value or "all"}
    if name in {"batch-400", "forbidden-community", "accept-and-drop"} and not value:
        return {name.replace("-", "_"): True}
    raise NotReady(f"There is no quirk {text!r}; known are {', '.join(KNOWN)}.")
