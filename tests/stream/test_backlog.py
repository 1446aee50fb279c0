"""Whatever gets done first: order per key, nothing twice, and acknowledged only what has no gap before it."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from stream.backlog import Backlog
from stream.compose import Enriched
from stream.intake import Work

AT = datetime(2026, 8, 1, tzinfo=UTC)
KINDS = st.sampled_from(["now", "later", "seen"])
"""Of a record: its answer is there, it waits for one, or it was seen before and nothing is written."""


class Partition:
    """A backlog, what was written of it, and how far it was acknowledged."""

    def __init__(self):
        self.backlog, self.waiting, self.written, self.acknowledged, self.read = Backlog(), {}, [], [], []

    def add(self, key, kind):
        offset = len(self.read)
        done = Enriched(str(offset), AT, "complete", b"{}")
        work = Work(SimpleNamespace(offset=offset, key=key), AT)
        if kind == "later":
            self.waiting[offset] = asyncio.Event()

            async def answer(event=self.waiting[offset]):
                await event.wait()
                return done

            work.result = asyncio.create_task(answer())
        elif kind == "now":
            work.result = done
        self.read.append((key, kind))
        self.backlog.add(work)

    def write(self, limit):
        group = self.backlog.take(limit)
        assert all(work.done for work in group)
        self.written += [work.record.offset for work in group]
        self.acknowledged += [work.record.offset for work in self.backlog.wrote(group)]
        assert self.acknowledged == list(range(len(self.acknowledged)))
        assert set(self.acknowledged) <= set(self.written)

    def check_order(self):
        for key in {key for key, _ in self.read}:
            of_key = [offset for offset in self.written if self.read[offset][0] == key]
            assert of_key == sorted(of_key)
        assert len(self.written) == len(set(self.written))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from([None, b"a", b"b", b"c"]), KINDS),
        st.tuples(st.just("answer"), st.integers(0, 40), st.none()),
        st.tuples(st.just("write"), st.integers(1, 5), st.none()),
    ),
    max_size=60,
)


async def _walk(steps):
    partition = Partition()
    for what, first, second in steps:
        if what == "add":
            partition.add(first, second)
        elif what == "answer" and first in partition.waiting:
            partition.waiting[first].set()
        elif what == "write" and partition.backlog.some.is_set():
            partition.write(first)
        for _ in range(3):
            await asyncio.sleep(0)
        assert partition.backlog.some.is_set() == (partition.backlog.writable > 0)
        partition.check_order()
    for event in partition.waiting.values():
        event.set()
    for _ in range(3):
        await asyncio.sleep(0)
    while partition.backlog.some.is_set():
        partition.write(5)
    partition.check_order()
    assert partition.acknowledged == list(range(len(partition.read)))
    assert len(partition.backlog) == 0
    assert partition.backlog.oldest is None


@given(STEPS)
def test_any_order_of_answers_keeps_the_order_of_a_key_and_leaves_no_gap(steps):
    asyncio.run(_walk(steps))


def test_only_its_own_key_waits_for_an_event():
    async def scenario():
        partition = Partition()
        for key, kind in [(b"a", "later"), (b"b", "now"), (b"a", "now"), (b"c", "now")]:
            partition.add(key, kind)
        partition.write(10)
        assert partition.written == [1, 3]
        assert partition.acknowledged == []
        assert len(partition.backlog) == 4
        assert partition.backlog.oldest == AT
        partition.waiting[0].set()
        await partition.backlog.some.wait()
        partition.write(10)
        assert partition.written == [1, 3, 0, 2]
        assert partition.acknowledged == [0, 1, 2, 3]

    asyncio.run(scenario())
