"""The verb `tocsin doctor`; what it looks at stands in ops/doctor.py."""

from typing import Annotated

import typer

from ops.findings import Asked


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list of all checks.")] = False,
    send: Annotated[
        bool,
        typer.Option(
            "--send", help="Send a message marked TEST to every target, and a test event to the hook of --url."
        ),
    ] = False,
    url: Annotated[
        str, typer.Option(help="Address under which the world reaches ingest, such as https://hooks.example.org.")
    ] = "",
    chaos: Annotated[
        bool,
        typer.Option(
            "--chaos",
            help="Instead, break a pipeline of its own on throw-away topics of your cluster and count what is lost.",
        ),
    ] = False,
) -> None:
    """Look at settings, Kafka, topics, API key, hook, targets, clock and disk; each failed check says what to do.

    Changes nothing; people see something only with --send. Exits 1 when a check failed. Run it where the rooms run, with
    their settings. --chaos takes about two minutes: topics under a random prefix, a simulated tenant, a channel that tells
    nobody; rooms are killed, brokers are left alone, and the topics are deleted at the end.
    """
    if chaos:
        from events.settings import KafkaSettings
        from sandbox import selftest

        raise typer.Exit(selftest.on_cluster(KafkaSettings(), as_json=as_json))
    from ops import doctor as ops_doctor

    raise typer.Exit(ops_doctor.run(Asked(send=send, url=url), as_json=as_json))
