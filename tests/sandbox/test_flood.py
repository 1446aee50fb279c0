"""The judge of a flood: it must see what is missing, what is repeated, and every post beyond the limit."""

from types import SimpleNamespace

import pytest

from events.records import Receipt
from sandbox.flood import event
from sandbox.flood_report import Flood, Sent
from sinks.limits import most_in_any


def post(at, event_id, *names, count=0, shown=True):
    title = f"{count:,} events in one message" if count else "one"
    card = {"body": [{"id": event_id, "text": title}, {"text": "\n\n".join(names)}]}
    return SimpleNamespace(at=at, event_id=event_id, card=card, shown=shown)


def receipt(number, outcome="accepted", digest_id=None):
    return Receipt(event_id=f"flood/{number}", target="teams", outcome=outcome, digest_id=digest_id)


def name(number):
    return f"AL{number:010d}"


def flood(*posts, receipts, urgent=(3,), count=4, kills=0):
    sent = {f"flood/{n}": Sent(name(n), 10.0, n in urgent) for n in range(count)}
    return Flood(sent, posts, receipts, kills)


GOOD = (post(11.5, "flood/3", name(3)), post(12, "digest-1", name(0), name(1), count=3))
DIGESTED = [receipt(n, "digested", "digest-1") for n in range(3)]


def test_a_good_run():
    seen = flood(*GOOD, receipts=[*DIGESTED, receipt(3)])
    assert seen.wrong() == []
    assert seen.line() == "urgent_delay_s=1.50 in_digests=3 posts_in_any_300s=2 missing=0"


def test_urgent_ones_alone():
    seen = flood(post(11, "flood/0", name(0)), post(13.5, "digest-1", name(1), count=1), urgent=(0, 1), count=2,
                 receipts=[receipt(0), receipt(1, "digested", "digest-1")])  # fmt: skip
    assert seen.line() == "first_s=1.00 all_named_within_s=3.50 in_digests=1 posts_in_any_300s=2 missing=0"


@pytest.mark.parametrize(
    ("posts", "receipts", "said"),
    [
        (GOOD, DIGESTED, "missing: 1"),
        (GOOD[1:], [*DIGESTED, receipt(3)], "missing: 1"),
        (GOOD, [*DIGESTED[1:], receipt(0), receipt(3)], "digests repeated beyond one per kill: 1"),
        ((*GOOD, GOOD[1]), [*DIGESTED, receipt(3)], "digests repeated beyond one per kill: 1"),
        ((*GOOD, GOOD[0]), [*DIGESTED, receipt(3)], "single events repeated beyond one per kill: 1"),
        ((*GOOD, post(12, None, shown=False)), [*DIGESTED, receipt(3)], "posts that were refused: 1"),
        ((*GOOD, *(post(300 + n, f"x{n}") for n in range(27))), [*DIGESTED, receipt(3)], "posts beyond the limit: 2"),
    ],
)
def test_what_is_wrong_is_seen(posts, receipts, said):
    assert flood(*posts, receipts=receipts).wrong() == [said]


def test_one_digest_may_be_repeated_for_each_kill():
    seen = flood(*GOOD, receipts=[*DIGESTED[1:], receipt(0), receipt(3)], kills=1)
    assert seen.wrong() == []
    assert seen.line().endswith("kills=1 repeated_digests=1 repeated_events=0")


def test_the_most_in_any_span():
    assert most_in_any([], 10) == 0
    assert most_in_any([0, 1, 2, 9.9, 10, 10.5], 10) == 5
    assert most_in_any([5] * 7, 10) == 7


def test_the_events_are_of_the_size_of_real_ones():
    low, urgent = event(7, urgent=False), event(8, urgent=True)
    assert (low.urgency, urgent.urgency, low.event.short_id) == (20, 95, name(7))
