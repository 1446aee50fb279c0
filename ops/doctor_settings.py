"""The doctor's look at the settings: refused values, slips of the fingers, hooks, and who may read `.env`."""

import os
import stat
from collections.abc import AsyncIterator, Iterator

from dotenv import dotenv_values

from events.errors import NotReady
from ingest.hooks import Hooks
from ingest.settings import IngestSettings
from ops import elsewhere, hooks
from ops.findings import Asked, Finding, failed, skipped, warning, well
from ops.near_misses import near_misses
from ops.settings_in_force import ENV_FILE, in_force

PRIVATE = 0o077
"""What nobody but the owner may do with a file of secrets."""


async def look(_asked: Asked) -> AsyncIterator[Finding]:
    """Look at what is set, and from where."""
    file = dotenv_values(ENV_FILE, encoding="utf-8")
    settings = in_force(os.environ, file)
    for each in settings:
        if each.wrong:
            yield failed(
                "settings.values",
                f"{each.name} must be {each.wrong}",
                f"correct {each.name} (it is set in the {each.source}).",
            )
    for name, meant in near_misses([*os.environ, *file]).items():
        yield failed(
            "settings.names", f"{name} is set, and nobody reads it", f"rename it to {meant}, if that is meant."
        )
    given = sum(each.source != "default" for each in settings)
    yield well("settings", f"{given} of {len(settings)} settings are given, the others have their defaults.")
    for finding in _file():
        yield finding
    if not any(each.wrong and each.name.startswith("INGEST_") for each in settings):
        yield _hooks(IngestSettings())


def _file() -> Iterator[Finding]:
    if ENV_FILE.exists() and stat.S_IMODE(ENV_FILE.stat().st_mode) & PRIVATE:
        yield warning(
            "settings.file", f"others on this machine may read {ENV_FILE}, which holds secrets", "chmod 600 .env"
        )


def _hooks(settings: IngestSettings) -> Finding:
    try:
        names = hooks.named(settings.hooks_file) if settings.hooks_file else []
        given = settings.hooks.get_secret_value()
        if given:
            names = [*names, *Hooks.parse(given, settings.networks).names]
    except NotReady as error:
        return failed("settings.hooks", str(error), "write it so, or let `tocsin hooks new NAME` write it.")
    if names:
        return well("settings.hooks", f"webhooks are accepted from: {', '.join(dict.fromkeys(names))}.")
    if elsewhere.ingest():
        return skipped(
            "settings.hooks", "they are given to ingest, which runs elsewhere and does not start without one."
        )
    return failed(
        "settings.hooks",
        "there is no hook, so Sekoia.io could not post anything",
        "run `tocsin connect`, or set INGEST_HOOKS=sekoia=<a long random token>.",
    )
