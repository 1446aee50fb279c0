"""A worker that hears of an error stops calling, and believes nothing else."""

import time

import orjson
import pytest

from events.settings import KafkaSettings
from stream.checkpoint import Stored
from stream.gossip import FRESH, KEY, LONGEST, WAITING, Gossip


def gossip():
    heard = []
    return Gossip(
        KafkaSettings(bootstrap_servers="127.0.0.1:9", _env_file=None), lambda *word: heard.append(word)
    ), heard


def word(**changes):
    said = {"worker": "w", "at": time.time(), "reason": "status 503", "until": 0}
    return orjson.dumps(said | changes)


def test_what_another_says_is_heard():
    one, heard = gossip()
    one.hear(word())
    one.hear(word(reason="status 429", until=time.time() + 5))
    assert [reason for reason, _ in heard] == ["status 503", "status 429"]
    assert heard[0][1] == 0.0
    assert heard[1][1] == pytest.approx(5.0, abs=1.0)


def test_who_starts_anew_hears_of_a_pause_that_lasts_but_not_of_old_errors():
    one, heard = gossip()
    one.hear(word(at=time.time() - 200, until=time.time() - 100))
    one.hear(word(at=time.time() - 200, until=time.time() + 400))
    one.hear(word(at=time.time() - 200, until=time.time() + 4000))
    assert [round(silent, -1) for _, silent in heard] == [400, LONGEST]


def test_ones_own_words_come_back_unheard():
    one, heard = gossip()
    other, heard_by_other = gossip()
    one.tell("status 503", 7.0)
    said = one._words.get_nowait()
    one.hear(said)
    other.hear(said)
    assert heard == []
    assert heard_by_other == [("status 503", pytest.approx(7.0, abs=1.0))]


@pytest.mark.parametrize("said", [None, b"", b"\xff", b"[]", b"1", b"{}", b'{"worker": 1}'])
def test_what_is_no_word_is_not_believed(said):
    one, heard = gossip()
    one.hear(said)
    assert heard == []


def test_stale_and_broken_words_are_not_believed():
    one, heard = gossip()
    for changes in ({"at": 0}, {"at": time.time() + 2 * FRESH}, {"at": "now"}, {"until": "soon"}):
        one.hear(word(**changes))
    assert heard == []


def test_what_nobody_takes_does_not_pile_up():
    one, _ = gossip()
    for _ in range(WAITING + 5):
        one.tell("x", 0.0)
    assert one._words.qsize() == WAITING


def test_a_checkpoint_knows_nothing_of_it():
    stored = Stored()
    stored.put(KEY, word())
    assert stored.values == {}
