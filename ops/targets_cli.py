"""The commands under `tocsin targets`; what they do stands in ops/targets.py."""

from typing import Annotated

import typer

from events.settings import KafkaSettings
from ops.moments import moment

app = typer.Typer(no_args_is_help=True, help="See what waits for each target, and choose where one goes on.")


@app.command(name="list")
def list_() -> None:
    """Show each target of the rules file: how many workers it has, and how many records wait for it.

    Waiting counts places in the topic, so it may be a few more than there are records.
    """
    from ops import targets

    targets.show(KafkaSettings())


@app.command()
def reset(
    target: Annotated[str, typer.Argument(help="Name of a target that is stopped.")],
    to: Annotated[str, typer.Option("--to", help="now, earliest, or a moment: 24h, 7d, or a time.")] = "now",
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it you see what would be done.")] = False,
) -> None:
    """Choose anew where a target goes on, for one that has lost its place or should leave a backlog behind."""
    from ops import targets

    targets.reset(KafkaSettings(), target, to if to in ("now", "earliest") else moment(to), yes=yes)  # type: ignore[arg-type]


@app.command()
def rename(
    old: Annotated[str, typer.Argument(help="The name until now; stop it first.")],
    new: Annotated[str, typer.Argument(help="The name in the rules file from now on.")],
    leave: Annotated[
        bool, typer.Option("--leave", help="Leave what was sent again, and the old name has not taken, to nobody.")
    ] = False,
) -> None:
    """Let a target go on under another name where it stopped: nothing is told twice and nothing is left out.

    Refused while records that were sent again wait for the old name.
    """
    from ops import targets

    targets.rename(KafkaSettings(), old, new, leave=leave)


@app.command()
def forget(
    target: Annotated[str, typer.Argument(help="A target that is stopped, and not in the rules file any more.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it you see what would be left untold.")] = False,
) -> None:
    """Delete the place of a target that is no more: as long as Kafka remembers it, it counts as late."""
    from ops import targets

    targets.forget(KafkaSettings(), target, yes=yes)
