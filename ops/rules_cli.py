"""The commands under `tocsin rules`; what they do stands in ops/rules.py."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Check the rules file, try it on samples, or begin one.")

File = Annotated[Path, typer.Option("--file", envvar="TOCSIN_RULES", help="The rules file.")]
DEFAULT = Path("tocsin.yml")


@app.command()
def check(
    file: File = DEFAULT,
    ask_key: Annotated[
        bool, typer.Option("--ask-key", help="Also try the look-ups that rules need with the key.")
    ] = False,
) -> None:
    """Read the rules file as the sinks do, and say what is wrong or odd in it, by line and column.

    Exits 2 when the sinks could not use it. Needs the variables that the file names, as the sinks do; with --ask-key
    SEKOIA_API_KEY too, and asks the API a few times.
    """
    from ops import rules

    rules.check(file, ask_key=ask_key)


@app.command(name="test")
def try_samples(
    samples: Annotated[list[str], typer.Argument(help="JSON files: enriched records, webhook bodies, or alerts.")],
    file: File = DEFAULT,
) -> None:
    """Say for each sample which rules match it, and for those that do not, which condition fails.

    A webhook body alone stands for an event whose alert is not known yet.
    """
    from ops import rules

    rules.try_samples(file, samples)


@app.command()
def init(file: File = DEFAULT) -> None:
    """Write a commented rules file to begin with; never over one that is there."""
    from ops import rules

    rules.init(file)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the rules file, for your editor."""
    from ops import rules

    rules.schema()


@app.command()
def explain(
    event_id: Annotated[str, typer.Argument(help="The event's id, as in a receipt or a message.")],
    since: Annotated[str, typer.Option(help="How far back to look: 30m, 24h, 7d.")] = "7d",
    file: File = DEFAULT,
) -> None:
    """Find an event in Kafka, and say which rules match it, which do not and why, and whom they tell."""
    from ops import rules_history

    rules_history.explain(file, event_id, since)


@app.command(name="try")
def try_history(
    since: Annotated[str, typer.Option(help="How far back to read: 30m, 24h, 7d.")] = "24h",
    against: Annotated[Path | None, typer.Option(help="Another rules file; say what only that one tells.")] = None,
    file: File = DEFAULT,
) -> None:
    """Ask the rules of a changed file about what is in Kafka, without sending anything.

    Counts per rule and target, and what would reach nobody; with --against, what would newly reach nobody.
    """
    from ops import rules_history

    rules_history.try_history(file, against, since)
