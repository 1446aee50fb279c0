"""What the watch makes of the topics a cluster shows: which are missing, and who may still be asked about."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from events.settings import KafkaSettings
from events.topics import Topics, contract
from inbox.lag import Lag
from ops import watch_kafka, watch_letters
from ops.scan import Reader
from ops.watch_letters import Letters

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:1", _env_file=None)
TOPICS = Topics(KAFKA.topic_prefix)
LATE = Lag("stream", 3, 400.0)
READ = [TOPICS.raw, TOPICS.enriched, TOPICS.dead_letters]


@pytest.fixture
def ask(monkeypatch):
    """Return what a look makes of a cluster that shows these topics, and how often it was asked for all of them."""

    def asked(shown):
        questions = []

        @asynccontextmanager
        async def reading(kafka):
            yield Reader(kafka, None)

        async def sizes(_):
            questions.append(1)
            return dict.fromkeys(shown, 12)

        async def letters(reader, topic, _):
            assert await reader.partitions(topic)
            return Letters({0: 7})

        async def lags(*_):
            return [LATE]

        monkeypatch.setattr(watch_kafka, "reading", reading)
        monkeypatch.setattr(Reader, "_sizes", sizes)
        monkeypatch.setattr(watch_letters, "read", letters)
        monkeypatch.setattr(watch_kafka, "_lags", lags)
        return asyncio.run(watch_kafka.look(KAFKA, ["soc"], {})), len(questions)

    return asked


@pytest.mark.parametrize(
    ("shown", "lags"),
    [
        ([each.name for each in contract(KAFKA)], [LATE]),
        (READ, [LATE]),  # a user of the cluster who may not see the others
        ([TOPICS.raw, TOPICS.dead_letters], None),
        ([TOPICS.enriched], None),
    ],
)
def test_groups_are_asked_for_while_the_topics_they_read_are_there(ask, shown, lags):
    said, _ = ask(shown)
    assert said.lags == lags
    assert set(said.missing) == {each.name for each in contract(KAFKA)}.difference(shown)
    assert (said.letters is None) == (TOPICS.dead_letters not in shown)


@pytest.mark.parametrize("shown", [[], READ])
def test_however_many_topics_are_missing_the_cluster_is_asked_once(ask, shown):
    # Each question connects anew: seven of them take longer than one look may, and a cluster that came back empty
    # would be one that does not answer.
    assert ask(shown)[1] == 1
