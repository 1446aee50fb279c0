"""The commands under `tocsin dead-letters`; what they do stands in ops/dead_letters.py."""

from typing import Annotated

import typer

from events.settings import KafkaSettings
from ops.letters import Place, Wanted
from ops.moments import moment

app = typer.Typer(no_args_is_help=True, help="Look at what could not be handled, and send it again or put it away.")

Stage = Annotated[str, typer.Option(help="Only letters of this stage: stream or sink.")]
Target = Annotated[str, typer.Option(help="Only letters of this target.")]
Reason = Annotated[str, typer.Option(help="Only letters whose reason has this text in it; * and ? stand for any.")]
Alert = Annotated[str, typer.Option(help="Only letters about this alert (its uuid).")]
Since = Annotated[str, typer.Option(help="Only letters from then on: 24h, 7d, or a time.")]
Until = Annotated[str, typer.Option(help="Only letters before that: 24h, 7d, or a time.")]
Letters = Annotated[list[str] | None, typer.Option("--letter", help="Only this letter, PARTITION/OFFSET; may repeat.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without it you see what would be done.")]


@app.command(name="list")
def list_(
    stage: Stage = "",
    target: Target = "",
    reason: Reason = "",
    alert: Alert = "",
    since: Since = "",
    until: Until = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Show the open letters by cause, with how many and when; warns of those that leave Kafka within a week."""
    from ops import dead_letters

    dead_letters.show_causes(KafkaSettings(), _wanted(stage, target, reason, alert, since, until), as_json=as_json)


@app.command()
def show(letter: Annotated[str, typer.Argument(help="PARTITION/OFFSET, as `list` names one of each cause.")]) -> None:
    """Show one letter whole: why it was buried, where it came from, and what it holds."""
    from ops import dead_letters

    dead_letters.show_one(KafkaSettings(), place(letter))


@app.command()
def redrive(
    stage: Stage = "",
    target: Target = "",
    reason: Reason = "",
    alert: Alert = "",
    since: Since = "",
    until: Until = "",
    letter: Letters = None,
    to: Annotated[str, typer.Option(help="Give targets' letters to this target instead, as after a rename.")] = "",
    yes: Yes = False,
) -> None:
    """Send letters again, each once: those of the stream back to raw, those of a target to that target alone.

    Without --yes it only says what would go where. Correct the cause first, or they come back. Letters of a target that the
    rules do not have stay where they are.
    """
    from ops import dead_letters

    wanted = _wanted(stage, target, reason, alert, since, until, letter)
    raise typer.Exit(dead_letters.settle(KafkaSettings(), wanted, "redriven", yes=yes, to=to))


@app.command()
def drop(
    stage: Stage = "",
    target: Target = "",
    reason: Reason = "",
    alert: Alert = "",
    since: Since = "",
    until: Until = "",
    letter: Letters = None,
    yes: Yes = False,
) -> None:
    """Put letters away for good: they stay in Kafka until they are too old, and are not listed any more.

    Without --yes it only says which.
    """
    from ops import dead_letters

    wanted = _wanted(stage, target, reason, alert, since, until, letter)
    raise typer.Exit(dead_letters.settle(KafkaSettings(), wanted, "dropped", yes=yes))


def place(text: str) -> Place:
    """Read PARTITION/OFFSET.

    Raises typer.BadParameter.
    """
    partition, _, offset = text.partition("/")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise typer.BadParameter(f"{text!r} is not PARTITION/OFFSET, such as 3/1207")
    return Place(int(partition), int(offset))


def _wanted(
    stage: str, target: str, reason: str, alert: str, since: str, until: str, letters: list[str] | None = None
) -> Wanted:
    if stage not in ("", "stream", "sink"):
        raise typer.BadParameter(f"{stage!r} is no stage: letters are of the stream or of a sink", param_hint="--stage")
    return Wanted(
        stage,
        target,
        reason,
        alert,
        moment(since) if since else None,
        moment(until) if until else None,
        frozenset(place(each) for each in letters or ()),
    )
