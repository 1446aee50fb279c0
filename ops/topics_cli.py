"""The commands under `tocsin topics`; what they do stands in ops/topics.py."""

import typer

from events.settings import KafkaSettings

app = typer.Typer(no_args_is_help=True, help="Create the topics on your cluster, or check them.")


@app.command()
def create() -> None:
    """Create the topics that are missing; existing ones are left as they are.

    Needs KAFKA_BOOTSTRAP_SERVERS. KAFKA_PARTITIONS (12) holds for the life of a topic; KAFKA_REPLICATION_FACTOR and
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
