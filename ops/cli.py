"""The `tocsin` command: it reads settings, sets up the log, and hands over to a room."""

import json
import os
import sys
from typing import Annotated

import structlog
import typer
from dotenv import dotenv_values
from pydantic import ValidationError

from events.errors import NotReady
from ops import (
    archive_cli,
    budget_verb,
    canary_verb,
    catch_up_verb,
    dead_letters_cli,
    doctor_verb,
    hooks,
    inbox_cli,
    ingest_cli,
    logs,
    query_cli,
    reconcile_verb,
    replay_verb,
    reprocess_verb,
    rules_cli,
    sandbox_verbs,
    settings_mistakes,
    targets_cli,
    topics_cli,
    watch_verb,
    why_verb,
)

log = structlog.get_logger()

app = typer.Typer(
    name="tocsin",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Carry Sekoia.io notifications to the people who must see them: nothing lost, nothing doubled, urgent first."
    "\n\n`tocsin up` runs everything on this machine. ingest, stream and sink are the rooms, one process each, as a "
    "cluster runs them."
    "\n\nSettings come from the environment or from `.env` in the working directory; `.env.example` lists all of them.",
)
for name, verbs in (
    ("archive", archive_cli.app),
    ("dead-letters", dead_letters_cli.app),
    ("hooks", hooks.app),
    ("inbox", inbox_cli.app),
    ("ingest", ingest_cli.app),
    ("rules", rules_cli.app),
    ("targets", targets_cli.app),
    ("topics", topics_cli.app),
):
    app.add_typer(verbs, name=name)

app.command("catch-up")(catch_up_verb.catch_up)
app.command()(query_cli.query)
app.command()(why_verb.why)
app.command()(watch_verb.watch)
app.command()(canary_verb.canary)
app.command()(doctor_verb.doctor)
app.command()(budget_verb.budget)
app.command()(reconcile_verb.reconcile)
app.command()(replay_verb.replay)
app.command()(reprocess_verb.reprocess)
for verb in (sandbox_verbs.selftest, sandbox_verbs.broker, sandbox_verbs.drill, sandbox_verbs.simulate):
    app.command()(verb)


@app.callback()
def _begin() -> None:
    from ops.near_misses import near_misses

    for name, meant in near_misses([*os.environ, *dotenv_values(".env", encoding="utf-8")]).items():
        log.warning("unknown_setting", name=name, did_you_mean=meant)


@app.command()
def settings(
    only_set: Annotated[bool, typer.Option("--set", help="Leave out what is at its default.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Show every setting with its value, its default, and where the value comes from; secrets are masked.

    Exits 2 when a room would refuse one of them.
    """
    from ops import settings_in_force

    if as_json:
        print(json.dumps(settings_in_force.as_json(), indent=2))
    raise typer.Exit(0 if as_json else settings_in_force.show(only_set=only_set))


@app.command()
def up() -> None:
    """Run the whole pipeline here: Kafka, ingest, stream and sinks, supervised; Ctrl-C stops it.

    Without SEKOIA_API_KEY it runs against a simulated tenant, without KAFKA_BOOTSTRAP_SERVERS on its own Kafka.
    """
    from sandbox import up as sandbox_up

    sandbox_up.run()


@app.command()
def connect(
    region: Annotated[str, typer.Option(help="FRA1, FRA2, MCO1, UAE1, USA1 or SGP1; asked for without it.")] = "",
    hook: Annotated[str, typer.Option(help="Name of the hook that is made where there is none.")] = "sekoia",
    no_input: Annotated[
        bool, typer.Option("--no-input", help="Ask nothing: take SEKOIA_API_KEY and TEAMS_WEBHOOK_URL as they are set.")
    ] = False,
) -> None:
    """Connect your tenant: check the API key, make a hook, write `.env`, and send the newest alert as a test card.

    Secrets are asked for or read from the environment or `.env`, never from the command line. Needs no tunnel.
    """
    from ops import connect as ops_connect

    ops_connect.run(region=region, hook=hook, ask=not no_input)


@app.command()
def stream() -> None:
    """Deduplicate and enrich: read the raw topic, ask the Alert API, write the enriched topic.

    Needs SEKOIA_API_KEY (permission SIC_READ_ALERTS), KAFKA_BOOTSTRAP_SERVERS and the topics.

    SEKOIA_REGION names your tenant's region (FRA1). Start as many as you like, up to one per partition; health and
    metrics are on port STREAM_ADMIN_PORT (8082).
    """
    from stream import main as stream_main

    stream_main.run()


@app.command()
def sink(
    name: Annotated[str, typer.Argument(help="`archive`, or a target of the rules file; all of them without it.")] = "",
    type_: Annotated[str, typer.Option("--type", help="Run all targets of this type instead.")] = "",
) -> None:
    """Deliver the enriched topic to a target: `tocsin sink teams`, `tocsin sink archive`.

    Needs KAFKA_BOOTSTRAP_SERVERS, the topics, and a target: TEAMS_WEBHOOK_URL makes the one named `teams`, or a rules
    file has several (TOCSIN_RULES, by default `tocsin.yml`). Health and metrics are on port SINKS_ADMIN_PORT (8083).

    The archive needs no target: it writes to ARCHIVE_URL (by default TOCSIN_DATA/archive), health is on port
    ARCHIVE_ADMIN_PORT (8084).
    """
    if name == "archive":
        from sinks.archive import main as archive_main

        archive_main.run()
    else:
        from sinks import main as sinks_main

        sinks_main.run(name=name, type_=type_)


def main() -> None:
    """Run the command; every mistake a person can make ends in one sentence and exit code 2."""
    logs.configure()
    unreachable = logs.hold_back_unreachable()
    try:
        app(prog_name="tocsin")
    except NotReady as error:
        sys.exit(_sentence(_with_cause(str(error), unreachable)))
    except ValidationError as error:
        sys.exit(_sentence(settings_mistakes.sentence(error)))
    except ModuleNotFoundError as error:
        sys.exit(
            _sentence(
                f"{error.name} is not installed; install the room's extra, for example `pip install 'tocsin[sandbox]'`."
            )
        )


def _sentence(text: str) -> int:
    print(f"tocsin: {text}", file=sys.stderr)
    return 2


def _with_cause(text: str, unreachable: list[str]) -> str:
    """Add why Kafka could not be reached: a refused connection and a wrong certificate are mended differently."""
    return f"{text.rstrip('.')} ({unreachable[-1]})." if unreachable and text.startswith("Kafka ") else text
