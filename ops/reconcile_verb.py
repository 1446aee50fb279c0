"""The command `tocsin reconcile`; what it does stands in ops/reconcile.py."""

from typing import Annotated

import typer

from ops.moments import moment


def reconcile(
    since: Annotated[str, typer.Option(help="Compare what came from then on: 24h, 7d, or a time.")] = "24h",
    no_api: Annotated[bool, typer.Option("--no-api", help="Ask nothing of the Alert API.")] = False,
    mend: Annotated[
        bool, typer.Option("--mend", help="Hand what came in, and of which nothing was made, to the stream once more.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with every gap.")] = False,
) -> None:
    """Did we miss one? Compare the Alert API, the topics, the archive and every target's receipts, and name each gap.

    Exits 1 when something is unaccounted for. Needs KAFKA_BOOTSTRAP_SERVERS; with SEKOIA_API_KEY, the archive's folder
    and the rules file at hand it compares those too, and it says what it did not compare, and what to do about each gap.
    """
    from ops import reconcile_page

    raise typer.Exit(reconcile_page.run(moment(since), api=not no_api, as_json=as_json, mend=mend))
