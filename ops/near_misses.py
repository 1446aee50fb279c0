"""Names that look like a setting of ours and are none: a slip of the fingers leaves a default in force, silently."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from ops.settings import MODELS, names

NEAR = 0.85
"""How alike two names are before one is taken for a slip: KAFKA_HEAP_OPTS is somebody else's, KAFKA_BOOTSTRAP_SERVER ours."""

NEARER = 0.92
"""The same where not even the prefix is ours: SEKIOA_API_KEY is a slip, INGESTION_PORT is somebody else's."""

LOGGING = ("LOG_LEVEL", "LOG_FORMAT")
"""Read before any model is."""


def known() -> list[str]:
    """Return every name that is read."""
    return [*dict.fromkeys(name for model in MODELS for name in names(model)), *LOGGING]


def near_misses(variables: Iterable[str]) -> Mapping[str, str]:
    """Return the names that nobody reads and that are close to one that somebody does, each with that one."""
    settings = known()
    prefixes = tuple({name.partition("_")[0] + "_" for name in settings})
    found = {}
    for variable in sorted(set(variables)):
        # Settings are read whatever the case.
        name = variable.upper()
        if name in settings:
            continue
        if close := get_close_matches(name, settings, n=1, cutoff=NEAR if name.startswith(prefixes) else NEARER):
            found[variable] = close[0]
    return found
