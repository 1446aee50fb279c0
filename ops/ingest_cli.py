"""`tocsin ingest` and `tocsin ingest drain`."""

import typer

app = typer.Typer()


@app.callback(invoke_without_command=True)
def ingest(context: typer.Context) -> None:
    """Accept webhooks and write them to the raw topic; a sender gets 200 once Kafka or this host's disk has the event.

    Needs a hook (INGEST_HOOKS=name=token, or `tocsin hooks new`), KAFKA_BOOTSTRAP_SERVERS and the topics
    (`tocsin topics create`).

    Listens on INGEST_HOST:INGEST_PORT (127.0.0.1:8080); health and metrics are on port INGEST_ADMIN_PORT (8081).
    """
    if context.invoked_subcommand is None:
        from ingest import main as ingest_main

        ingest_main.run()


@app.command("drain")
def ingest_drain() -> None:
    """Write what a spool still holds to the raw topic: for the disk of a host that will not come back.

    Name its folder in INGEST_SPOOL. A running ingest drains its own spool by itself.
    """
    from ingest import orphans

    print(f"{orphans.run()} events were brought to Kafka; the spool is empty.")
