"""`tocsin connect`: from an API key to a `.env` file and a first card in the channel."""

import asyncio
import getpass
import os
import re
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import SecretStr

from events.errors import NotReady
from events.settings import KafkaSettings
from ingest.hooks import Hooks, line
from ingest.settings import IngestSettings
from ops import env_file, hooks, tenant, trial_card
from ops.share import share
from sinks.settings import SinksSettings
from sinks.text import clean
from stream.settings import Region, SekoiaSettings

ENV = Path(".env")
INTERRUPTED = 130
REGIONS: tuple[Region, ...] = get_args(Region)
T = TypeVar("T")

_INTRO = """Connect tocsin to your Sekoia.io tenant. Ctrl-C stops; nothing is written before the end.
The region stands in the address of your console: app.sekoia.io is FRA1, app.fra2.sekoia.io is FRA2, and so on."""
_NEXT = """
What is left (docs/connect-sekoia.md shows each step):
  1. start it:            tocsin up
  2. let Sekoia reach it: a reverse proxy, or for a first try a tunnel to {scheme}://{host}:{port}
  3. a notification rule whose WebHook URL is
       https://YOUR-ADDRESS/hooks/{token}"""


@dataclass(frozen=True)
class Answers:
    """What was found out; nothing of it is written yet."""

    sekoia: SekoiaSettings
    teams_url: str


@dataclass(frozen=True)
class NewHook:
    """The hook that is made where there is none: a line of INGEST_HOOKS_FILE where that is set, else INGEST_HOOKS."""

    name: str
    token: str
    file: Path | None


def run(*, region: str = "", hook: str = "sekoia", ask: bool = True) -> None:
    """Ask, check each answer at once, write `.env`, say what is left to do.

    With `ask` false the answers come from SEKOIA_REGION, SEKOIA_API_KEY and TEAMS_WEBHOOK_URL, in the environment or in
    `.env`. Raises NotReady when there is no terminal to ask in, or an answer is wrong and nobody can be asked again.
    """
    if ask and not sys.stdin.isatty():
        raise NotReady("There is no terminal to ask in: set SEKOIA_API_KEY and TEAMS_WEBHOOK_URL and add --no-input.")
    new = _new_hook(hook, ask=ask)
    before = env_file.read(ENV)
    try:
        answers = _converse(region) if ask else _given(region)
    except (KeyboardInterrupt, EOFError):
        print("\nStopped. Nothing was written.")
        sys.exit(INTERRUPTED)
    _write(before, answers, new)
    _say_what_is_left(new)


def _converse(region: str) -> Answers:
    print(_INTRO)
    sekoia, found = _again(lambda: _key(_region(region)))
    print("The card is sent to a Teams channel by a workflow; whoever has its address can post.")
    teams_url = _again(lambda: _teams(sekoia, found))
    return Answers(sekoia, teams_url)


def _given(region: str) -> Answers:
    sekoia = SekoiaSettings(region=_known(region)) if region else SekoiaSettings()
    if not sekoia.api_key.get_secret_value():
        raise NotReady("SEKOIA_API_KEY is not set; --no-input takes it from the environment or .env.")
    sekoia, found = _checked(sekoia, sekoia.api_key.get_secret_value())
    url = SinksSettings().teams_webhook_url.get_secret_value()
    if url:
        _try(url, sekoia, found)
    return Answers(sekoia, url)


def _again(question: Callable[[], T]) -> T:
    """Ask until the answer is right, not faster than the vendor's firewall bears."""
    refused: list[float] = []
    while True:
        try:
            return question()
        except NotReady as error:
            print(f"  {error}")
            if isinstance(error, tenant.Refused):
                refused.append(time.monotonic())
        left = refused[-tenant.REFUSALS] + tenant.PAUSE - time.monotonic() if len(refused) >= tenant.REFUSALS else 0
        if left > 0:
            print(f"  A moment ({left:.0f} s): the vendor blocks networks that are refused too often.")
            time.sleep(left)


def _region(given: str) -> Region:
    settings = SekoiaSettings()
    if settings.api_base:
        print(f"The API is asked at {settings.api()}, as SEKOIA_API_BASE says.")
        return settings.region
    default = given or settings.region
    return _known(input(f"Region ({', '.join(REGIONS)}) [{default}]: ").strip() or default)


def _known(text: str) -> Region:
    """Read a region, or the address of a console."""
    host = re.search(r"\b(?:app|api)(?:\.(\w+))?\.sekoia\.io\b", text.lower())
    wanted = (host[1] or "FRA1" if host else text).upper()
    for region in REGIONS:
        if region == wanted:
            return region
    raise NotReady(f"There is no region {text[:60]!r}; known are {', '.join(REGIONS)}.")


def _key(region: Region) -> tuple[SekoiaSettings, tenant.Found]:
    settings = SekoiaSettings(region=region)
    before = settings.api_key.get_secret_value()
    keep = ", Enter keeps the one you have" if before else ""
    return _checked(settings, getpass.getpass(f"API key (not shown{keep}): ").strip() or before)


def _checked(settings: SekoiaSettings, key: str) -> tuple[SekoiaSettings, tenant.Found]:
    settings = settings.model_copy(update={"api_key": SecretStr(tenant.clean_key(key))})
    found = asyncio.run(_look(settings))
    print(f"  The key works{f', it is named {clean(found.name, 60)}' if found.name else ''}.")
    if found.alert:
        print(f"  Newest alert: {clean(found.alert.get('short_id'), 40)} {clean(found.alert.get('title'), 100)}")
    else:
        print("  It may read alerts, but there is none yet.")
    return settings, found


async def _look(settings: SekoiaSettings) -> tenant.Found:
    async with share(settings, KafkaSettings()) as pace:
        return await tenant.look(settings, pace)


def _teams(sekoia: SekoiaSettings, found: tenant.Found) -> str:
    before = SinksSettings().teams_webhook_url.get_secret_value()
    enter = "Enter keeps the one you have" if before else "Enter skips"
    url = getpass.getpass(f"Teams Workflows URL (not shown, {enter}): ").strip()
    if url:
        _try(url, sekoia, found)
    return url or before


def _try(url: str, sekoia: SekoiaSettings, found: tenant.Found) -> None:
    status = asyncio.run(trial_card.send(trial_card.settings(SecretStr(url)), found.alert, sekoia.app()))
    print(f"  The workflow took the card marked {trial_card.MARK} ({status}); look whether the channel shows it.")


def _new_hook(name: str, *, ask: bool) -> NewHook | None:
    """Return the hook to make, None when there are hooks already, in the settings or in the file they name."""
    settings = IngestSettings()
    given, file = settings.hooks.get_secret_value(), settings.hooks_file
    if given:
        Hooks.parse(given, settings.networks)
    if (hooks.named(file) if file else []) or given:
        return None
    new = NewHook(name, secrets.token_urlsafe(24), file)
    if not file:
        Hooks.parse(f"{name}={new.token}", settings.networks)
    elif not ask:
        raise NotReady(
            f"{file} has no hook yet, and keeps only a token's SHA-256, so nobody could be shown the token: "
            f"run `tocsin hooks new {name}` first."
        )
    else:
        line(name, new.token)
    return new


def _write(before: str, answers: Answers, new: NewHook | None) -> None:
    values: dict[str, Any] = {
        "SEKOIA_REGION": answers.sekoia.region,
        "SEKOIA_API_KEY": answers.sekoia.api_key.get_secret_value(),
        "TEAMS_WEBHOOK_URL": answers.teams_url,
        "INGEST_HOOKS": f"{new.name}={new.token}" if new and not new.file else "",
    }
    values = {name: value for name, value in values.items() if value}
    if new and new.file:
        hooks.add(new.file, line(new.name, new.token))
        print(f"The hook {new.name} is in {new.file}, its token as SHA-256 only: copy the address below now.")
    env_file.write(ENV, env_file.changed(before, values))
    print(f"Written to {ENV}, readable by you only: {', '.join(values)}.")
    for name, value in values.items():
        if os.environ.get(name, value) != value:
            print(f"  Mind that {name} is also set in the environment, which wins over {ENV}.")


def _say_what_is_left(new: NewHook | None) -> None:
    settings = IngestSettings()
    given = settings.hooks.get_secret_value()
    shown = new.token if new else given.split(",", 1)[0].partition("=")[2]
    # A file or a pipe may be a log; the token is for a person's eyes.
    if not shown:
        shown = f"TOKEN (shown when the hook in {settings.hooks_file} was made; `tocsin hooks new` makes another)"
    elif not sys.stdout.isatty():
        shown = "TOKEN (that of INGEST_HOOKS in .env)"
    scheme = "https" if settings.tls_cert else "http"
    print(_NEXT.format(scheme=scheme, host=settings.host, port=settings.port, token=shown))
