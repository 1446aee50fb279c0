"""The Faust side: group membership, flow and commits. No other file of the stream knows Faust.

Faust hands over a record and is told when it is finished; it then commits offsets in order. Its tables, its
transactions and its decoding are not used (docs/adr/0004-faust-in-one-file.md says why).
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import faust
from faust.types import TP
from faust.types.auth import CredentialsT
from faust.web import Request, Response, View
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from events.settings import KafkaSettings
from events.topics import Topics
from stream.ending import end_process
from stream.intake import RawRecord
from stream.seek_safe import Transport
from stream.settings import StreamSettings


class Owner(Protocol):
    """What the stream does with what Faust gives it."""

    def assigned(self, numbers: set[int]) -> None:
        """Own exactly these partitions from now on."""

    def revoked(self) -> None:
        """Know that the group divides the partitions anew; `assigned` follows."""

    def member(self, at: float) -> None:
        """Know that the group took us for its member then (monotonic seconds); called from another thread."""

    def put(self, number: int, records: Sequence[RawRecord]) -> None:
        """Handle records of an owned partition."""

    def health(self) -> tuple[bool, Mapping[str, Any]]:
        """Return whether every owned partition is ready, and the details."""


def build(kafka: KafkaSettings, settings: StreamSettings) -> faust.App:
    """Make the application; nothing is connected yet."""
    options = kafka.client_options()
    brokers = ";".join(f"kafka://{server.strip()}" for server in options["bootstrap_servers"].split(","))
    settings.data.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        kafka.group("stream"),
        broker=brokers,
        broker_credentials=_credentials(kafka, options.get("ssl_context")),
        # Six seconds is the least a broker allows by default (group.min.session.timeout.ms).
        broker_session_timeout=10.0,
        broker_heartbeat_interval=2.5,
        broker_request_timeout=20.0,
        broker_commit_interval=1.0,
        broker_commit_every=1_000_000,  # by time only: by count costs throughput
        consumer_auto_offset_reset="none",
        producer_request_timeout=30.0,
        stream_wait_empty=True,  # without it a stop acknowledges what is still under way
        stream_buffer_maxsize=4096,
        store="memory://",
        datadir=str(Path(settings.data).absolute()),
        topic_allow_declare=False,
        topic_disable_leader=True,
        value_serializer="raw",
        web_bind=settings.admin_host,
        web_host=settings.admin_host,
        web_port=settings.admin_port,
        web_tables_enabled=False,
        web_router_enabled=False,
        web_stats_enabled=False,
        web_graph_enabled=False,
    )
    app.transport = Transport(app.conf.broker_consumer, app)
    return app


def connect(app: faust.App, topics: Topics, owner: Owner) -> None:
    """Route what Faust brings to the owner, and what the owner has finished back to Faust."""
    topic = app.topic(
        topics.raw,
        allow_empty=True,  # or a tombstone is acknowledged unseen
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
    )

    @app.on_partitions_assigned.connect  # type: ignore[untyped-decorator]
    async def assigned(_sender: object, assigned: set[TP], **_: object) -> None:
        app.consumer.keep(assigned)
        owner.assigned({tp.partition for tp in assigned if tp.topic == topics.raw})

    @app.on_partitions_revoked.connect  # type: ignore[untyped-decorator]
    async def revoked(_sender: object, revoked: set[TP], **_: object) -> None:  # noqa: ARG001 - the signal's own names
        owner.revoked()

    @app.agent(topic, name="stream")  # type: ignore[untyped-decorator]
    async def take(stream: Any) -> None:
        # Read from the channel's queue, whole batches: the stream's own iterator acknowledges an event when its loop
        # body ends, whatever became of it.
        queue = stream.channel.queue
        app.consumer.source_queue = queue
        listen(app, owner)
        try:
            while True:
                fetched = await queue.get()
                if fetched.generation == app.consumer_generation_id and app.flow_control.is_active():
                    app.consumer.track(fetched)
                    owner.put(fetched.tp.partition, fetched.records)
        except Exception as error:  # noqa: BLE001 - ends the process: Faust would acknowledge and go on
            if isinstance(error, StopAsyncIteration) and app.should_stop:
                return  # a clean stop closes the queue
            end_process("the agent failed", error)

    _add_pages(app, owner)


def listen(app: faust.App, owner: Owner) -> None:
    """Tell the owner what Faust itself tells nobody: heartbeats, and a rebalance while the application stops."""
    app.consumer.heartbeat, app.consumer.regrouping = owner.member, owner.revoked


def on_started(app: faust.App, begin: Callable[[], None]) -> None:
    """Call `begin` inside the running loop, before any partition is assigned."""

    @app.task  # type: ignore[untyped-decorator]
    async def started() -> None:
        begin()


def pause(app: faust.App, topics: Topics, partition: int, paused: bool) -> None:
    """Stop or resume fetching one partition."""
    tps = {TP(topics.raw, partition)}
    if paused:
        app.consumer.pause_partitions(tps)
    elif TP(topics.raw, partition) in app.consumer.assignment():
        app.consumer.resume_partitions(tps)


def finish(app: faust.App, topics: Topics, partition: int, offset: int) -> None:
    """Say that a partition is finished up to an offset; Faust commits it soon."""
    app.consumer.finished(TP(topics.raw, partition), offset)


def _credentials(kafka: KafkaSettings, context: ssl.SSLContext | None) -> CredentialsT | None:
    if kafka.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password.get_secret_value(),
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def _add_pages(app: faust.App, owner: Owner) -> None:
    @app.page("/healthz")  # type: ignore[untyped-decorator]
    async def healthz(self: View, _request: Request) -> Response:
        ready, details = owner.health()
        return self.json({"ready": ready, **details}, status=200 if ready else 503)

    @app.page("/metrics")  # type: ignore[untyped-decorator]
    async def metrics(self: View, _request: Request) -> Response:
        return self.bytes(generate_latest(), content_type=CONTENT_TYPE_LATEST.split(";")[0])


def run(app: faust.App) -> None:
    """Run until SIGTERM or SIGINT; does not return."""
    from faust.worker import Worker

    # At level WARN Faust's spinner would build every debug record.
    Worker(
        app, loglevel="INFO", redirect_stdouts=False, quiet=True, loop=asyncio.new_event_loop()
    ).execute_from_commandline()
