"""`tocsin replay` as a command: what would be sent, and how far the sending is."""

import asyncio
import os
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from events.errors import NotReady
from events.headers import isoformat
from events.settings import KafkaSettings
from ops import kafka_errors, replay_topic, why
from ops.bar import Bar
from ops.dead_letters import safe
from ops.replay import TOPIC, Counts, Plan, doubt, wants
from ops.replay_run import Replay
from sinks import main as sinks_main
from sinks import shelf
from sinks.archive.manifest import BrokenManifest
from sinks.rules import Rules
from sinks.settings import SinksSettings

INTERRUPTED = 130

console = Console(highlight=False)


def folder() -> Path:
    """Return where the jobs are."""
    return Path(os.environ.get("TOCSIN_DATA", "data")) / "replay"


def begin(
    target: str,
    since: datetime,
    until: datetime | None,
    *,
    alert: str,
    where: str,
    rule: str,
    again: bool,
    notify: bool,
) -> Plan:
    """Return a new job. Raises NotReady for a target that is not there, or a topic that it cannot go to."""
    if target.startswith(TOPIC):
        replay_topic.check(KafkaSettings(), target.removeprefix(TOPIC))
    else:
        sinks_main.choose(sinks_main.load(SinksSettings()), target, "")
    job = uuid.uuid4().hex[:12]
    now = datetime.now(UTC)
    span = isoformat(since), isoformat(until or now)
    return Plan(job, target, *span, alert.lower(), where, rule, again=again, notify=notify, begun=isoformat(now))


def resume(job: str) -> Plan:
    """Return a job that was stopped. Raises NotReady."""
    return Plan.load(folder(), job, datetime.now(UTC))


def run(plan: Plan, *, rate: float, yes: bool) -> int:
    """Count, and with `yes` send; return the exit code.

    Raises NotReady, also where people would be told, or told once more for all one knows, and the job does not say that
    they are to be.
    """
    kafka, notes = KafkaSettings(), list[str]()
    rules = None if plan.topic and not plan.rule else sinks_main.load(SinksSettings())
    job = Replay(kafka, plan, wants(plan, rules), why.archive_at_hand(notes))
    for note in notes:
        console.print(Text(f"note: {safe(note)}", "dim"))
    try:
        with Bar("looking") as bar, kafka_errors.told(kafka):
            counts = asyncio.run(job.count(bar.show))
        _show(plan, counts, rate)
        if not counts.left:
            return 0
        if rules and _disturbs(plan, rules):
            raise NotReady(f"{plan.target} tells people: nothing is sent again to it without --notify.")
        if counts.doubtful:
            raise NotReady(doubt(plan, counts))
        if not yes:
            console.print("Nothing is sent without --yes.")
            return 0
        plan.save(folder())
        with kafka_errors.told(kafka):
            return _send(job, plan, rate)
    except BrokenManifest as error:
        raise NotReady(f"The archive cannot be believed: {error}") from error


def _send(job: Replay, plan: Plan, rate: float) -> int:
    console.print(f"Job {plan.job}; whatever stops it, tocsin replay --job {plan.job} goes on.")
    try:
        with _Sending() as bar:
            done = asyncio.run(job.send(rate, bar.show, bar.look))
    except KeyboardInterrupt:
        console.print(f"Stopped. Go on with: tocsin replay --job {plan.job}")
        return INTERRUPTED
    then = "" if plan.topic else "; it takes them after what is new"
    console.print(Text(f"{done:,} sent to {safe(plan.target)} by job {plan.job}{then}."))
    return 0


def _disturbs(plan: Plan, rules: Rules) -> bool:
    return not plan.topic and shelf.find(rules.targets[plan.target].type).tells_people and not plan.notify


def _show(plan: Plan, counts: Counts, rate: float) -> None:
    since, until = plan.span
    lines = (
        (
            counts.looked_at,
            f"records {'name it and ' if plan.alert else ''}came in from {since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC",
        ),
        (counts.wanted, f"events are meant for {plan.target}"),
        (counts.got, "of them it has already; --again sends those too"),
        (counts.sent, f"of them job {plan.job} has sent already"),
        (counts.left, f"to be sent: {timedelta(seconds=round(counts.left / rate))} at {rate:g} a second"),
    )
    for count, words in lines:
        console.print(Text(f"{count:>12,}  {safe(words)}"))


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Show how many go out in a second."""
        return Text(f"{task.speed or 0:,.0f}/s")


class _Sending:
    """A bar with rate and remaining time."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True))

    def __enter__(self) -> Self:
        self._progress.start()
        self._task = self._progress.add_task("looking")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def look(self, done: int, total: int) -> None:
        """Say how many of how many partitions were looked at; then the sending begins."""
        self._progress.update(self._task, completed=done, total=total)
        if done == total:
            self._progress.reset(self._task, description="sending")

    def show(self, done: int, total: int) -> None:
        """Say how many of how many are sent."""
        self._progress.update(self._task, completed=done, total=total)
