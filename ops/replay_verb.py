"""The command `tocsin replay`; what it does stands in ops/replay.py and ops/replay_run.py."""

from typing import Annotated

import typer

from ops.moments import moment


def replay(
    to: Annotated[str, typer.Option(help="The target to send to, a name of the rules file; or topic:NAME.")] = "",
    since: Annotated[str, typer.Option(help="Only what came in from then on: 24h, 7d, or a time.")] = "",
    until: Annotated[str, typer.Option(help="Only what came in before that; now by default.")] = "",
    alert: Annotated[str, typer.Option(help="Only what is about this alert (its uuid).")] = "",
    where: Annotated[
        str, typer.Option(help="Only what meets these conditions, as in a rule: 'urgency: \">= 70\"'.")
    ] = "",
    rule: Annotated[str, typer.Option(help="Only what this rule of the rules file matches.")] = "",
    rate: Annotated[float, typer.Option(min=0.1, help="Records a second, at most.")] = 20.0,
    again: Annotated[bool, typer.Option("--again", help="Send also what the target has a receipt of.")] = False,
    notify: Annotated[bool, typer.Option("--notify", help="Send to chat or mail, where people are told.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it you see what would be sent.")] = False,
    job: Annotated[str, typer.Option(help="Go on with a replay that was stopped; its selection stays as it was.")] = "",
) -> None:
    """Send what came in once more to one target or topic, from Kafka or, where that has it no more, from the archive.

    Counts first and sends nothing without --yes. Without --where, --rule or --alert the target's own rules decide; a topic
    gets everything. What the target has already is left out, and it takes the rest after what is new.
    """
    from ops import replay_page

    if job:
        raise typer.Exit(replay_page.run(replay_page.resume(job), rate=rate, yes=True))
    if not to or not since:
        raise typer.BadParameter(
            "say --to TARGET (or topic:NAME) and --since, or --job to go on with one that was stopped"
        )
    if where and rule:
        raise typer.BadParameter("either --where or --rule says what is meant, not both")
    span = moment(since), moment(until) if until else None
    plan = replay_page.begin(to, *span, alert=alert, where=where, rule=rule, again=again, notify=notify)
    raise typer.Exit(replay_page.run(plan, rate=rate, yes=yes))
