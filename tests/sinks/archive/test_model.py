"""Two writers, crashes, power cuts and zombies in any order: the archive holds what its manifest says, once."""

import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from sinks.archive.manifest import Superseded
from sinks.archive.read import entries
from sinks.archive.storage import Folder
from sinks.archive.sweep import sweep
from sinks.archive.writer import PartitionWriter, Written

WORKERS = st.sampled_from(["one", "other"])
STEPS = st.none() | st.integers(0, 12)
WHEN = st.sampled_from(["before", "middle", "after"])


class Worker:
    """A process: its disk, its writer, and what it wrote and has not committed."""

    def __init__(self, disk: Any, writer: PartitionWriter) -> None:
        self.disk = disk
        self.writer = writer
        self.claimed = False
        self.pending: tuple[int, Written] | None = None


class Model(RuleBasedStateMachine):
    """The partition is `log`; below `safe` everything must be archived, at `owner` is who may go on."""

    def __init__(self, record: Any, dying_disk: Any, machine_of: Any, died: Any, offsets: Any, unlisted: Any) -> None:
        super().__init__()
        self.record, self.dying_disk, self.died = record, dying_disk, died
        self.offsets, self.unlisted = offsets, unlisted
        self.root = Path(tempfile.mkdtemp())
        self.machine = machine_of()
        self.log: list[Any] = []
        self.workers: dict[str, Worker] = {}
        self.owner: Worker | None = None
        self.safe = 0

    def teardown(self) -> None:
        self.settle()
        shutil.rmtree(self.root)

    def settle(self) -> None:
        """Let a fresh process archive the rest: nothing is missing, and nothing is left over."""
        writer = PartitionWriter(Folder(self.root, self.dying_disk(machine=self.machine)), "t", 0, "last")
        writer.claim(log_start=0, log_end=len(self.log))
        sweep(writer._folder, "t", {0: writer.next_seq})
        assert self.unlisted(self.root) == []
        written = writer.write([each for each in self.log[writer.next_offset :] if each])
        writer.commit(len(self.log), written.files)
        assert self.offsets(self.root) == [each.offset for each in self.log if each]

    def die(self, name: str) -> None:
        worker = self.workers.pop(name)
        self.owner = None if worker is self.owner else self.owner

    @rule(count=st.integers(1, 3), late=st.integers(0, 2), tenant=st.sampled_from("ab"), marker=st.booleans())
    def append(self, count: int, late: int, tenant: str, marker: bool) -> None:
        for _ in range(count):
            self.log.append(self.record(len(self.log), days_ago=late, tenant=tenant))
        self.log += [None] * marker

    @rule(name=WORKERS, step=STEPS, when=WHEN)
    def start(self, name: str, step: int | None, when: str) -> None:
        """Start a process, in place of the one of this name if it runs; it reads where the manifest ends."""
        if name in self.workers:
            self.die(name)
        disk = self.dying_disk(step, when, self.machine)
        self.workers[name] = Worker(disk, PartitionWriter(Folder(self.root, disk), "t", 0, name))

    @precondition(lambda self: any(not worker.claimed for worker in self.workers.values()))
    @rule(name=WORKERS)
    def claim(self, name: str) -> None:
        worker = self.workers.get(name)
        if worker is None or worker.claimed:
            return
        try:
            start = worker.writer.claim(log_start=0, log_end=len(self.log))
            assert start >= self.safe
            self.owner, worker.claimed = worker, True
            sweep(worker.writer._folder, "t", {0: worker.writer.next_seq})
            assert self.unlisted(self.root) == []
        except Superseded:
            self.die(name)
        except self.died:
            self.owner = None  # it may have claimed with its last breath: who owned the partition may not any more
            self.workers.pop(name)

    @rule(name=WORKERS, count=st.integers(0, 6))
    def write(self, name: str, count: int) -> None:
        worker = self.workers.get(name)
        if worker is None or not worker.claimed or worker.pending:
            return
        place = worker.writer.next_offset or 0
        read = self.log[place : place + count]
        try:
            worker.pending = (place + len(read), worker.writer.write([each for each in read if each]))
        except self.died:
            self.die(name)
        except FileNotFoundError:
            assert worker is not self.owner  # the new owner swept the file from under it
            self.die(name)

    @rule(name=WORKERS)
    def commit(self, name: str) -> None:
        worker = self.workers.get(name)
        if worker is None or not worker.pending:
            return
        following, written = worker.pending
        worker.pending = None
        before = list(entries(self.root))
        try:
            worker.writer.commit(following, written.files)
        except self.died:
            self.die(name)
        except Superseded:
            assert worker is not self.owner
            assert list(entries(self.root)) == before
            self.die(name)
        else:
            assert before[-1].writer == name
            self.safe = following

    @rule(name=WORKERS)
    def kill(self, name: str) -> None:
        if name in self.workers:
            self.die(name)

    @rule(seed=st.none() | st.integers(0, 99))
    def power_cut(self, seed: int | None) -> None:
        self.workers.clear()
        self.owner = None
        self.machine.cut(self.root, None if seed is None else Random(seed))

    @invariant()
    def readers_find_what_is_settled_once(self) -> None:
        settled = max((entry.next_offset for entry in entries(self.root)), default=0)
        assert settled >= self.safe
        assert self.offsets(self.root) == [each.offset for each in self.log[:settled] if each]


def test_any_order_of_events(record, dying_disk, machine_of, died, offsets, unlisted):
    run_state_machine_as_test(
        lambda: Model(record, dying_disk, machine_of, died, offsets, unlisted),
        settings=settings(max_examples=60, stateful_step_count=40, deadline=None),
    )
