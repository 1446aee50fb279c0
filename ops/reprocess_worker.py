"""A worker of the stream under a prefix of its own, which asks the Alert API in the operator's share (`tocsin reprocess`)."""

import asyncio
import logging
import sys
from collections.abc import Set as AbstractSet

from events.settings import KafkaSettings
from events.slots import OperatorsBudget, Slots
from ops import logs
from stream import app as faust_app
from stream import positions
from stream.alert_api import AlertApi
from stream.breaker import Breaker
from stream.budget import EARLY, Budget
from stream.ending import end_process
from stream.gossip import Gossip
from stream.lookups import Lookups
from stream.main import connected
from stream.settings import SekoiaSettings, StreamSettings


class OperatorsShare(Budget):
    """The operator's slots instead of the stream's, whatever partitions are owned."""

    def __init__(self, slots: Slots, api: str) -> None:
        super().__init__(slots)
        self._mine = OperatorsBudget(slots, api)

    @property
    def rate(self) -> float:
        """Calls per second this worker may make."""
        return self._mine.rate

    def share(self, owned: AbstractSet[int], partitions: int, now: float) -> None:
        """Take nothing of the stream's."""

    def settling(self, now: float) -> float:  # noqa: ARG002
        """Return 0: the share is no other worker's."""
        return 0.0

    def delay(self, now: float) -> float:  # noqa: ARG002
        """Return the seconds until the next call may start."""
        return self._mine.delay()

    def left(self, now: float) -> float:  # noqa: ARG002
        """Return 0: others may have what is left."""
        return 0.0

    async def take(self) -> None:
        """Wait until the next call may be prepared."""
        await asyncio.sleep(max(0.0, self._mine.delay() - EARLY))

    async def leave(self) -> None:
        """Wait until the first byte of the next call may go."""
        await self._mine.leave()


def run(prefix: str) -> None:
    """Run until SIGTERM: as `tocsin stream`, but of errors it hears from the stream of the usual prefix.

    Raises NotReady.
    """
    home, settings, sekoia = KafkaSettings(), StreamSettings(), SekoiaSettings()
    kafka = home.model_copy(update={"topic_prefix": prefix})
    api = AlertApi(sekoia)
    asyncio.run(positions.prepare(kafka))
    app = faust_app.build(kafka, settings)
    budget = OperatorsShare(Slots(sekoia.requests_per_second), sekoia.api())
    # One error is enough: the stream calls from the same address, and its errors count with ours.
    breaker = Breaker(allowed_errors=0)
    lookups = Lookups(api, budget, breaker, settings.batch_size, settings.batch_delay.total_seconds())
    connected(app, kafka, settings, sekoia, lookups)
    api.before_send = lookups.before_send
    gossip = Gossip(home, lookups.heard)
    lookups.tell = gossip.tell
    faust_app.on_started(app, lambda: _begin(lookups, gossip))
    faust_app.run(app)


def _begin(lookups: Lookups, gossip: Gossip) -> None:
    loop = asyncio.get_running_loop()
    for name, work in (("lookups", _look_up(lookups, gossip)), ("gossip", gossip.run())):
        task = loop.create_task(work, name=name)
        task.add_done_callback(
            lambda done: done.cancelled() or end_process(f"{done.get_name()} failed", done.exception())
        )


async def _look_up(lookups: Lookups, gossip: Gossip) -> None:
    await gossip.up_to_date.wait()
    await lookups.run()


if __name__ == "__main__":
    logs.configure()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    run(sys.argv[1])
