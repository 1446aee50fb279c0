"""The command `tocsin catch-up`; what it does stands in ops/catch_up_cli.py."""

from typing import Annotated

import typer


def catch_up(
    since: Annotated[
        str, typer.Option(help="Begin here (`24h`, or a time with its zone), not where the last ended.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Feed nothing: print what would be fed.")] = False,
) -> None:
    """Feed the alerts whose webhook never came: list what changed at the Alert API, and feed what Kafka does not know.

    Needs SEKOIA_API_KEY, KAFKA_BOOTSTRAP_SERVERS and the topics. With CATCH_UP_EVERY=60s it goes on until stopped, which
    alone is a way to run where no port can be exposed; --since and --dry-run make one pass. It asks at most one call in
    two seconds. Exits 1 when the API could not answer; the next run goes on from there.
    """
    from ops import catch_up_cli

    raise typer.Exit(catch_up_cli.run(since, dry_run=dry_run))
