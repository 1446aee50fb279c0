"""The commands under `tocsin archive`; what they do stands in ops/archive_verify.py and sinks/archive."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from events.errors import NotReady

app = typer.Typer(
    no_args_is_help=True, help="Check the archive against its manifests, and make the key that signs them."
)

SHOWN = 50


@app.command()
def verify(
    head: Annotated[
        list[str] | None, typer.Option(help="A head kept elsewhere that must still be there; may repeat.")
    ] = None,
    key: Annotated[
        list[Path] | None, typer.Option(help="PEM of a key that signs, either half; by default ARCHIVE_SIGNING_KEY.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Look whether files are there, without reading them.")] = False,
) -> None:
    """Check every manifest, file and head of the archive; exit 1 when something is missing or was changed.

    Run it where the archive cannot be written, with a head and a key that are kept elsewhere: docs/archive.md says what
    this detects and what not.
    """
    from ops.archive_verify import verify as check
    from ops.bar import Bar
    from sinks.archive.settings import ArchiveSettings
    from sinks.archive.signing import load_public

    settings = ArchiveSettings()
    paths = key or ([settings.signing_key] if settings.signing_key else [])
    store = settings.store()
    keys = [load_public(path) for path in paths]
    try:
        with Bar("checking files") as bar:
            verdict = check(store, keys=keys, wanted=head or [], contents=not quick, progress=bar.show)
    except OSError as error:
        raise NotReady(f"The archive in {store.name} cannot be read: {error}") from error
    for problem in verdict.problems[:SHOWN]:
        print(problem)
    if not paths:
        print("No key is given: signatures were not checked.", file=sys.stderr)
    print(
        f"entries={verdict.entries} signed={verdict.signed} files={verdict.files} rows={verdict.rows} "
        f"heads={verdict.heads} problems={len(verdict.problems)}"
    )
    raise typer.Exit(1 if verdict.problems else 0)


@app.command()
def compact(
    at_least: Annotated[int, typer.Option(min=2, help="Only days of which a partition has so many small files.")] = 8,
    keep: Annotated[str, typer.Option(help="How long replaced files stay for who is reading them.")] = "1h",
) -> None:
    """Merge the small files of each day, and delete those that an earlier run has replaced.

    For an archive that no sink writes to: one that is running does this by itself (ARCHIVE_COMPACT_EVERY), and would end,
    uncommitted, and have to be started again.
    """
    from ops.archive_compact import compact as run

    run(at_least, keep)


@app.command()
def key(
    file: Annotated[Path, typer.Argument(help="Where the private key goes; a file that is there is left alone.")],
) -> None:
    """Make a private key for ARCHIVE_SIGNING_KEY and print its public half, which verifies; keep that one elsewhere."""
    from sinks.archive.signing import make_key, public_pem

    print(public_pem(make_key(file)), end="")
