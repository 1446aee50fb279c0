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
) -> None:
    """Look at settings, Kafka, topics, API key, hook, targets, clock and disk; each failed check says what to do.

    Changes nothing; people see something only with --send. Exits 1 when a check failed. Run it where the rooms run, with
    their settings.
    """
    from ops import doctor as ops_doctor

    raise typer.Exit(ops_doctor.run(Asked(send=send, url=url), as_json=as_json))
