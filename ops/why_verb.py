"""The command `tocsin why`; what it does stands in ops/why.py, how it looks in ops/why_page.py."""

from typing import Annotated

import typer

from ops.moments import moment


def why(
    alert: Annotated[str, typer.Argument(help="The alert's uuid or short id, or the id of one of its events.")],
    since: Annotated[
        str, typer.Option(help="Read everything from then on (24h, 7d, a time), not only near what is known.")
    ] = "",
    partitions: Annotated[
        int, typer.Option(min=0, help="Look where the alert lay when the topics had so many, before `topics migrate`.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the whole life of one alert: each webhook and copy of it, its enrichment, and what every target did and why.

    Reads one partition of each topic, and of that what is near the records the archive knows, or the newest; the last
    lines say how much. Needs KAFKA_BOOTSTRAP_SERVERS; with the archive and the rules file at hand it says more.
    """
    from ops import why as ops_why
    from ops import why_page

    life = ops_why.run(alert.strip(), moment(since) if since else None, partitions)
    if as_json:
        print(why_page.as_json(life))
    else:
        why_page.show(life)
