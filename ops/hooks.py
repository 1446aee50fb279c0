"""`tocsin hooks`: make a token for a hook; only its SHA-256 is kept."""

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from events.errors import NotReady
from ingest import hooks
from ingest.settings import IngestSettings

app = typer.Typer(no_args_is_help=True, help="Make tokens for the addresses Sekoia.io posts to.")


@app.callback()
def _group() -> None:
    """Keep `new` a subcommand while it is the only one."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The hook's name: it stands in every record, log and metric.")],
    url: Annotated[str, typer.Option(help="Address under which the world reaches ingest.")] = "",
    allow: Annotated[str, typer.Option(help="Networks it may be used from: 192.0.2.0/24,2001:db8::/32.")] = "",
) -> None:
    """Make a token, print the URL to paste into the notification rule, and keep the token's SHA-256.

    The line goes to INGEST_HOOKS_FILE, which running workers read again by themselves; without that setting it is
    printed. A name may have several tokens: make the new one, change the rule, then take the old line out.
    """
    settings = IngestSettings()
    token = secrets.token_urlsafe(24)
    entry = hooks.line(name, token, allow)
    base = (url or f"http://{settings.host}:{settings.port}").rstrip("/")
    if settings.hooks_file:
        add(settings.hooks_file, entry)
        kept = f"Its SHA-256 is in {settings.hooks_file}; workers that run already know it."
    else:
        kept = f"Put this line into a file and name the file in INGEST_HOOKS_FILE:\n\n  {entry}"
    print(f"URL of the hook {name}, shown this once:\n\n  {base}/hooks/{token}\n\n{kept}")


def named(path: Path) -> list[str]:
    """Return the names of the hooks in the file, none where there is no file yet.

    Raises NotReady when it cannot be read, or holds something that is no hook.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise NotReady(f"INGEST_HOOKS_FILE cannot be read: {path} ({type(error).__name__}).") from error
    return hooks.Hooks.parse_file(text).names


def add(path: Path, entry: str) -> None:
    """Append a line to the file, made readable by its owner only, and see it onto the disk.

    Raises NotReady when it cannot be written, or holds something that is no hook.
    """
    named(path)
    try:
        number = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(number, "rb+", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            ends = not size or os.pread(number, 1, size - 1) == b"\n"
            file.write(f"{'' if ends else chr(10)}{entry}\n".encode())
            os.fsync(number)
    except OSError as error:
        raise NotReady(f"INGEST_HOOKS_FILE cannot be written: {path} ({error.strerror}).") from error
