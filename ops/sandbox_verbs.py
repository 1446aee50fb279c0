"""The verbs of what runs on one machine with nothing else: the selftest, a broker, a simulated tenant."""

from typing import Annotated

import typer

MAX_PORT = 65_535


def selftest(
    events: Annotated[int, typer.Option(min=1, help="How many distinct events to send.")] = 500,
    kill: Annotated[
        str, typer.Option(help="Rooms to kill -9 while events flow: ingest,stream,sink,archive,broker.")
    ] = "",
    seed: Annotated[int | None, typer.Option(help="Repeat a run; without it one is drawn and printed.")] = None,
    quirk: Annotated[list[str] | None, typer.Option(help="A quirk of the simulated tenant; see `simulate`.")] = None,
    sabotage: Annotated[
        str, typer.Option(help="Spoil the evidence to see the oracle fail: drop|double|invent|reorder.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the last line only, as JSON.")] = False,
) -> None:
    """Prove the pipeline on this machine: send events, kill what you name, compare everything with what was sent.

    Starts its own Kafka, tenant and receivers on free ports in a temporary folder. Exits 1 when an event is missing,
    invented or doubled. The last line is one JSON object.
    """
    from sandbox import selftest as sandbox_selftest

    raise typer.Exit(
        sandbox_selftest.run(
            events=events, kill=kill, seed=seed, quirks=quirk or [], sabotage=sabotage, as_json=as_json
        )
    )


def broker(
    nodes: Annotated[int, typer.Option(min=1, max=5, help="How many brokers; three replicate.")] = 1,
    port: Annotated[
        int, typer.Option(min=1024, max=MAX_PORT - 5, help="Port of the first broker; the others count up.")
    ] = 9092,
) -> None:
    """Run the embedded Kafka alone, until Ctrl-C; it listens on this machine only.

    Needs nothing but, the first time, a network to fetch Kafka (45 MB). Data stays in TOCSIN_DATA/kafka (`data/kafka`).
    It prints what to set KAFKA_BOOTSTRAP_SERVERS to. For trying out, tests and small sites.
    """
    from sandbox import broker as sandbox_broker

    sandbox_broker.run(nodes=nodes, port=port)


def simulate(
    port: Annotated[
        int,
        typer.Option(min=0, max=MAX_PORT, help="Port of the Alert API and the receivers' page; 0 takes a free one."),
    ] = 8090,
    host: Annotated[
        str, typer.Option(help="Address to listen on. The page has no lock: only inside a container another than this.")
    ] = "127.0.0.1",
    mail_port: Annotated[
        int, typer.Option(min=0, max=MAX_PORT, help="Port of the mail server; 0 takes a free one.")
    ] = 0,
    hook_url: Annotated[str, typer.Option(help="Where to post webhooks; none are posted without it.")] = "",
    rate: Annotated[float, typer.Option(min=0, help="New notifications per second.")] = 0.5,
    seed: Annotated[
        int | None, typer.Option(help="Same seed, same alerts; without it every start has new ones.")
    ] = None,
    rich_bodies: Annotated[bool, typer.Option("--rich", help="Post the fields the vendor's live stream adds.")] = False,
    quirk: Annotated[
        list[str] | None,
        typer.Option(
            help="Behave as a real tenant may: batch-ignored, batch-400, list-lag=5s, forbidden-community, html-200, "
            "accept-and-drop. Repeat for several."
        ),
    ] = None,
) -> None:
    """Run the simulated tenant and the receivers alone: an Alert API with the vendor's firewall, and a Teams endpoint.

    Needs nothing. Point a stream at it with SEKOIA_API_BASE=http://127.0.0.1:8090 and any SEKOIA_API_KEY, a sink with
    TEAMS_WEBHOOK_URL=http://127.0.0.1:8090/teams/soc?sig=simulated and SINKS_ALLOW_NETWORKS=127.0.0.1/32, and open the
    address to see the cards; its /messages shows what Mattermost, Slack, Telegram, IFTTT, webhooks and mailboxes got.
    """
    from sandbox import simulate as sandbox_simulate

    asked = {"port": port, "host": host, "mail_port": mail_port, "hook_url": hook_url, "rate": rate, "seed": seed}
    sandbox_simulate.run(**asked, rich=rich_bodies, quirks=quirk or [])  # type: ignore[arg-type]


def drill(
    name: Annotated[list[str] | None, typer.Argument(help="Which faults; `--list` names them.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Name the faults, a line each, and do nothing.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Make every fault; it takes some minutes.")] = False,
) -> None:
    """Break something on purpose in the sandbox, and see whether the operators are told, and told when it is over.

    Starts its own Kafka, tenant, receivers, rooms and watch on free ports in a temporary folder. The last line holds the
    figures. Exits 1 when the operators were not told, or more than once.
    """
    from sandbox import drill as sandbox_drill

    if list_:
        print(sandbox_drill.listing())
        return
    if not name and not all_:
        raise typer.BadParameter("name a fault, or ask for --list or --all")
    raise typer.Exit(sandbox_drill.run(name or []))
