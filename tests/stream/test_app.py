"""What Faust tells the stream of its group; should another version of it be silent, this says so."""

import asyncio

from faust.types import TP

from events.settings import KafkaSettings
from events.topics import Topics
from stream import app as stream_app
from stream.settings import StreamSettings


class Owner:
    """Notes what it is told."""

    def __init__(self):
        self.told = []

    def member(self, at):
        self.told.append(at)

    def revoked(self):
        self.told.append("revoked")

    def assigned(self, numbers):
        self.told.append(numbers)

    def put(self, number, records):
        raise AssertionError((number, records))

    def health(self):
        return True, {}


def test_the_owner_hears_that_partitions_are_divided_anew(tmp_path, monkeypatch):
    async def scenario():
        kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1", partitions=4)
        app, owner = stream_app.build(kafka, StreamSettings(data=tmp_path)), Owner()
        stream_app.connect(app, Topics(kafka.topic_prefix), owner)
        monkeypatch.setattr(app.consumer, "assignment", set)
        await app._on_partitions_revoked({TP(Topics(kafka.topic_prefix).raw, 0)})
        return owner.told

    assert asyncio.run(scenario()) == ["revoked"]


def test_the_owner_hears_it_also_while_its_application_stops(tmp_path):
    async def scenario():
        kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1", partitions=4)
        app, owner = stream_app.build(kafka, StreamSettings(data=tmp_path)), Owner()
        stream_app.connect(app, Topics(kafka.topic_prefix), owner)
        stream_app.listen(app, owner)
        app._stopped.set()
        await app.consumer.on_partitions_revoked({TP(Topics(kafka.topic_prefix).raw, 0)})
        return app.should_stop, owner.told

    assert asyncio.run(scenario()) == (True, ["revoked"])
