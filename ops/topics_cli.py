"""The commands under `tocsin topics`; what they do stands in ops/topics.py."""

from typing import Annotated

import typer

from events.settings import KafkaSettings

app = typer.Typer(no_args_is_help=True, help="Create the topics on your cluster, or check them.")


@app.command()
def create() -> None:
    """Create the topics that are missing; existing ones are left as they are.

    Needs KAFKA_BOOTSTRAP_SERVERS. KAFKA_PARTITIONS (12) holds until `tocsin topics migrate`; KAFKA_REPLICATION_FACTOR and
    KAFKA_MIN_ISR follow the number of brokers unless set.
    """
    from ops import topics

    topics.create(KafkaSettings())


@app.command()
def check() -> None:
    """Compare the topics on the cluster with the contract, and say how to mend what differs; exits 1 when one does.

    Needs KAFKA_BOOTSTRAP_SERVERS; changes nothing.
    """
    from ops import topics

    raise typer.Exit(topics.check(KafkaSettings()))


@app.command()
def migrate(
    partitions: Annotated[int, typer.Option(min=1, help="How many every topic shall have; never fewer than now.")] = 0,
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="A target whose backlog is not waited for; its alerts of before and after may change places."
        ),
    ] = None,
    no_targets: Annotated[
        bool, typer.Option(help="There are no rules here: only the archive and the bell read.")
    ] = False,
    undo: Annotated[bool, typer.Option(help="Open the raw topic again instead, before anything has grown.")] = False,
) -> None:
    """Give a pipeline that has run more partitions, with nothing lost, doubled or out of order; docs/scaling.md.

    Ingest goes on and keeps events in its spools; the stream and the targets finish, and are to be stopped when this says
    so. Interrupted, it is run again. Needs KAFKA_BOOTSTRAP_SERVERS, the rules, and the STREAM_DEDUPE_WINDOW of the stream.
    """
    from ops import growth_verb

    growth_verb.run(KafkaSettings(), partitions, without=without or [], no_targets=no_targets, undo=undo)
