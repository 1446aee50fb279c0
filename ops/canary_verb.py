"""The command `tocsin canary`; what it does stands in ops/canary_cli.py."""

from typing import Annotated

import typer


def canary(
    target: Annotated[str, typer.Argument(help="One target of the rules file; all of them without it.")] = "",
    send: Annotated[bool, typer.Option("--send", help="Send one to people now, also when none is due.")] = False,
    confirm: Annotated[
        str, typer.Option(help="The code of a canary somebody has seen, where its link cannot be opened.")
    ] = "",
) -> None:
    """Show how each target proves that it shows what it accepts, and try it: a line each, `soc-teams proof=human overdue`.

    Sends a canary where it can be read back (mail by IMAP, Mattermost by a bot's token), and to people when one is due.
    The rules file says how, with `canary:` of a target. Exits 1 when a target is overdue or its canary was missed.
    """
    from ops import canary_cli

    raise typer.Exit(canary_cli.confirm(confirm) if confirm else canary_cli.run(target, send=send))
