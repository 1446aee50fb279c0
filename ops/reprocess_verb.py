"""The command `tocsin reprocess`; what it does stands in ops/reprocess.py."""

from typing import Annotated

import typer

from ops.moments import moment


def reprocess(
    since: Annotated[str, typer.Option(help="What came in from then on: 24h, 7d, or a time.")],
    until: Annotated[str, typer.Option(help="Only what came in before that; now by default.")] = "",
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the topics it makes, for you to read and delete.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it you see how much it would be.")] = False,
) -> None:
    """Put what came in through the stream of this version once more, beside everything, and compare what comes out.

    It copies raw records, from Kafka or where that has them no more from the archive, to topics under a prefix of their
    own, runs a worker on them that asks the Alert API in the operator's share, and says which events have another status,
    or are there only then or only now. Nobody is told of anything. Exits 1 where something is there no more.
    """
    from ops import reprocess_page

    span = moment(since), moment(until) if until else None
    raise typer.Exit(reprocess_page.run(*span, yes=yes, keep=keep))
