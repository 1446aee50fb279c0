"""The shelf of destinations: one file each, found by looking."""

import pkgutil
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from events.errors import NotReady
from sinks import destinations
from sinks.destination import Destination


def types() -> list[str]:
    """Name the destination types: the file names on the shelf."""
    return sorted(module.name for module in pkgutil.iter_modules(destinations.__path__))


def find(type_: str) -> type[Destination[Any]]:
    """Return the one Destination defined in the file of that name.

    Raises NotReady with the nearest name when there is no such file.
    """
    if type_ not in types():
        raise NotReady(f"there is no destination type {type_!r}{did_you_mean(type_, types())}")
    module = import_module(f"{destinations.__name__}.{type_}")
    (found,) = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Destination) and value.__module__ == module.__name__
    ]
    return found


def did_you_mean(word: str, known: list[str]) -> str:
    """End a sentence, with its mark, about an unknown word with the nearest known one, else with all of them."""
    near = get_close_matches(word, known, n=1)
    return f": did you mean {near[0]!r}?" if near else f"; known: {', '.join(known) or 'none'}."
