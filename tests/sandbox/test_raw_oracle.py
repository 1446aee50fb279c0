"""The oracle of ingest: it finds what it should, each kind by itself, and nothing in a good run."""

import asyncio
import itertools
from random import Random

import orjson
import pytest

from events.identity import identify
from sandbox import posts, raw_oracle
from sandbox.posts import Post, PostJournal
from sandbox.raw_oracle import Fault, Record, judge, spoil

ALERTS = ["3b0f6a52-7d1e-4c7a-9f0b-5a1f2f0c9d11", "9d1c7e60-2f3b-4a8e-b5c4-6e0f1a2b3c4d"]
FAULTS = [Fault("broker killed", 1000.0, 1010.0)]


def run(count: int = 40) -> tuple[list[Post], list[Record], list[str]]:
    """Return a run without a mistake: one sender, one fault, one copy made in it."""
    bodies = itertools.islice(posts.draw(Random(1), ALERTS, "c"), count)
    sent = [
        Post(body, alert, 2 * n, 990.0 + n, 2 * n + 1, 990.5 + n, 503 if n == 15 else 200)
        for n, (alert, body) in enumerate(bodies)
    ]
    records, enriched = [], []
    for n, post in enumerate(sent):
        if post.accepted:
            records.append(written(post, n))
            enriched.append(records[-1].event_id)
    records.insert(13, written(sent[12], 1200, delivery=records[12].delivery_id))
    return sent, records, enriched


def written(post: Post, offset: int, *, delivery: str = "") -> Record:
    delivery = delivery or f"delivery-{offset}"
    identity = identify(orjson.loads(post.body), post.body, delivery)
    return Record(0, offset, identity.key, post.body, identity.event_id, delivery)


def counts(verdict: raw_oracle.Verdict) -> dict[str, int]:
    names = ("missing", "invented", "stray", "doubled", "reordered")
    return {name: len(getattr(verdict, name)) for name in names if getattr(verdict, name)}


def test_a_good_run_is_good_and_its_copy_is_counted():
    sent, records, enriched = run()
    verdict = judge(sent, FAULTS, records, enriched)
    assert (verdict.good, verdict.copies) == (True, 1)
    assert verdict.figures() == "missing=0 invented=0 copies=1 doubled_after_dedupe=0 reordered=0"


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ("drop", "missing"),
        ("invent", "invented"),
        ("copy", "invented"),
        ("double", "doubled"),
        ("reorder", "reordered"),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_every_sabotage_is_found(how, found, seed):
    sent, records, enriched = run()
    spoil(how, sent, records, enriched, Random(seed))
    verdict = judge(sent, FAULTS, records, enriched)
    assert not verdict.good
    assert found in counts(verdict)


def test_all_known_sabotages_are_tried_here():
    assert set(raw_oracle.SABOTAGE) == {"drop", "invent", "copy", "double", "reorder"}


def test_a_copy_that_no_fault_explains_is_a_mistake():
    sent, records, enriched = run()
    verdict = judge(sent, [Fault("broker killed", 5000.0, 5001.0)], records, enriched)
    assert counts(verdict) == {"stray": 1}


def test_what_was_refused_may_be_there_or_not_but_what_was_accepted_must():
    sent, records, enriched = run()
    late = written(sent[15], 2000)
    assert judge(sent, FAULTS, [*records, late], [*enriched, late.event_id]).good
    sent[15].status = 200
    assert counts(judge(sent, FAULTS, records, enriched)) == {"missing": 1}


def test_a_key_or_an_id_that_is_not_the_bodys_is_found():
    sent, records, enriched = run()
    for change in ({"key": b"other"}, {"delivery_id": "other"}, {"partition": 1}):
        changed = [*records[:13], raw_oracle.replace(records[13], **change), *records[14:]]
        assert "invented" in counts(judge(sent, FAULTS, changed, enriched))


def test_what_the_stream_lost_or_made_up_is_found():
    sent, records, enriched = run()
    assert counts(judge(sent, FAULTS, records, enriched[1:])) == {"missing": 1}
    assert counts(judge(sent, FAULTS, records, [*enriched, "never"])) == {"invented": 1}


def test_requests_that_overlap_have_no_order():
    sent, records, enriched = run()
    same = [post for post in sent if post.alert == sent[0].alert and post.accepted][:2]
    places = {post.body: record for post in same for record in records if record.value == post.body}
    first, second = (places[post.body] for post in same)
    swapped = [
        raw_oracle.replace(each, offset={first: second.offset, second: first.offset}.get(each, each.offset))
        for each in records
    ]
    assert counts(judge(sent, FAULTS, swapped, enriched)) == {"reordered": 1}
    same[0].ended = same[1].begun + 1  # the second began before the first was answered
    assert judge(sent, FAULTS, swapped, enriched).good


def test_the_journal_gives_back_what_was_written_and_in_which_order(tmp_path):
    async def write(journal: PostJournal) -> None:
        await asyncio.gather(*(journal.posting(n, ALERTS[0], b"body %d" % n) for n in range(3)))
        await journal.answered(1, 200)
        await journal.answered(2, 503)

    with PostJournal(tmp_path / "journal") as journal:
        asyncio.run(write(journal))
    found = posts.read(tmp_path / "journal")
    assert [(post.body, post.begun, post.ended, post.status) for post in found] == [
        (b"body 0", 0, -1, posts.NO_ANSWER),
        (b"body 1", 1, 3, 200),
        (b"body 2", 2, 4, 503),
    ]
    assert [post.accepted for post in found] == [False, True, False]
    assert found[0].until == float("inf")


def test_no_two_bodies_are_alike_and_every_kind_of_id_is_among_them():
    drawn = list(itertools.islice(posts.draw(Random(1), ALERTS, "c"), 300))
    assert len({body for _, body in drawn}) == 300
    assert {identify(orjson.loads(body), body, "d").kind for _, body in drawn} == {"vendor", "content", "delivery"}
    assert all(identify(orjson.loads(body), body, "d").key == alert.encode() for alert, body in drawn)
    assert {len(body) // 100 for _, body in drawn} <= {8, 9}
