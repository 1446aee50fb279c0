"""How each fault of a chaos run is done, and undone; a zombie counts only where the brokers say it was one."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from events.errors import NotReady
from events.topics import Topics, contract
from sandbox import chaos_plan
from sandbox.chaos_group import Group, moved_on
from sandbox.chaos_plan import Fault
from sandbox.chaos_site import Say, Site

SETTLED_WITHIN = 30.0
"""Seconds for the group to settle before a worker is paused; one that owns nothing makes no zombie."""
MOVED_WITHIN = 45.0
"""Seconds for the group to go on without a paused worker: its session, and a rebalance."""
BACK_WITHIN = 60.0
"""Seconds for a broker to be back."""
TINY = "300"
"""Bytes; no enriched record is that small, so every write is refused for good."""
WRONG_ANSWERS = {
    "api-error": (503, None),
    "api-limit": (429, 5),
    "api-hang": (0, None),
    "api-refused": (403, None),
}
"""Status of the Alert API's next answer, and its Retry-After; 0 is no answer at all."""


@dataclass
class Tally:
    """What was done so far."""

    faults: Counter[str] = field(default_factory=Counter)
    zombies: int = 0


class Saboteur:
    """Carry out the tracks of a plan on a site until told to stop, then mend everything."""

    def __init__(self, site: Site, group: Group, seed: int, say: Say) -> None:
        self._site = site
        self._group = group
        self._seed = seed
        self._say = say
        self._calm = asyncio.Event()
        self._numbers = count(len(site.workers.present) + 1)
        self.tally = Tally()
        self._kinds: dict[str, Callable[[Fault], Awaitable[None]]] = {
            "zombie": self._zombie,
            "kill": self._kill,
            "terminate": self._terminate,
            "leave": self._leave,
            "join": self._join,
            "broker-kill": self._broker_kill,
            "broker-pause": self._broker_pause,
            "produce-error": self._produce_error,
        }

    async def run(self, duration: float) -> None:
        """Cause faults for so many seconds; each that has begun is carried to its end."""
        async with asyncio.TaskGroup() as tasks:
            for name in chaos_plan.TRACKS:
                tasks.create_task(self._track(name))
            await asyncio.sleep(duration)
            self._calm.set()

    async def _track(self, name: str) -> None:
        for fault in chaos_plan.faults(self._seed, name):
            if await self._calm_for(fault.after):
                return
            self._say(f"{fault.kind}")
            await self._kinds.get(fault.kind, self._wrong_answer)(fault)
            self.tally.faults[fault.kind] += 1

    async def _calm_for(self, seconds: float) -> bool:
        """Wait, but not beyond the end of all faults; True when that has come."""
        try:
            await asyncio.wait_for(self._calm.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _victim(self, fault: Fault) -> str | None:
        running = sorted(self._site.workers.running())
        return running[fault.victim % len(running)] if running else None

    async def _kill(self, fault: Fault) -> None:
        if victim := self._victim(fault):
            self._site.workers.supervisor.kill(victim)

    async def _terminate(self, fault: Fault) -> None:
        if victim := self._victim(fault):
            self._site.workers.supervisor.terminate(victim)

    async def _leave(self, fault: Fault) -> None:
        """Let one worker go, and come back."""
        if victim := self._victim(fault):
            await self._site.workers.leave(victim)
            await asyncio.sleep(fault.lasts)
            await self._site.workers.join(victim, wait=False)

    async def _join(self, fault: Fault) -> None:
        """Let one more worker come for a while."""
        name = f"stream-{next(self._numbers)}"
        await self._site.workers.join(name, wait=False)
        await self._calm_for(10.0 + fault.lasts)  # it takes some to be assigned anything
        await self._site.workers.leave(name)

    async def _zombie(self, fault: Fault) -> None:
        """Pause a worker that owns partitions until the group has gone on without it, then let it go on too."""
        workers = self._site.workers
        found = await self._settled(fault)
        if found is None:
            self._say("no zombie: the group did not settle")
            return
        victim, member, held = found
        workers.paused.add(victim)
        workers.supervisor.pause(victim)
        try:
            gone = await self._within(MOVED_WITHIN, lambda: self._without(member, held))
            if gone and fault.worse and (other := self._victim(fault)):
                workers.supervisor.kill(other)
            await asyncio.sleep(fault.lasts)
        finally:
            workers.supervisor.resume(victim)
            workers.paused.discard(victim)
        self.tally.zombies += gone
        what = "the group had moved on" if gone else "the group had NOT moved on, no zombie"
        self._say(f"{victim} goes on; it held partitions {sorted(held)}, {what}")

    async def _settled(self, fault: Fault) -> tuple[str, str, frozenset[int]] | None:
        """Return a worker, its member id and what it owns, once worker and brokers agree on that."""
        found: list[tuple[str, str, frozenset[int]]] = []

        async def agreed() -> bool:
            found.clear()
            owners = await self._group.owners() or {}
            victim = self._victim(fault)
            if victim is None or len(owners) < 2:  # noqa: PLR2004 - nobody else could take over
                return False
            said = await self._site.workers.health(victim)
            held = frozenset(said.get("partitions", ()))
            members = [member for member, owned in owners.items() if owned == held]
            if said.get("ready") and held and len(members) == 1:
                found.append((victim, members[0], held))
            return bool(found)

        await self._within(SETTLED_WITHIN, agreed)
        return found[0] if found else None

    async def _without(self, member: str, held: frozenset[int]) -> bool:
        return moved_on(await self._group.owners(), member, held)

    async def _within(self, seconds: float, done: Callable[[], Awaitable[bool]]) -> bool:
        end = asyncio.get_running_loop().time() + seconds
        while not await done():
            if asyncio.get_running_loop().time() > end:
                return False
            await asyncio.sleep(0.5)
        return True

    async def _broker_kill(self, fault: Fault) -> None:
        brokers = self._site.brokers
        number = 1 + fault.victim % len(brokers.nodes)
        await asyncio.to_thread(brokers.kill, number)
        await asyncio.sleep(fault.lasts)
        await asyncio.to_thread(brokers.restart, number)
        await self._brokers_back()

    async def _broker_pause(self, fault: Fault) -> None:
        brokers = self._site.brokers
        number = 1 + fault.victim % len(brokers.nodes)
        brokers.pause(number)
        try:
            await asyncio.sleep(fault.lasts)
        finally:
            brokers.resume(number)
        await self._brokers_back()

    async def _brokers_back(self) -> None:
        """Wait until all nodes answer: with two of three away nothing can be written, which proves little."""
        try:
            await self._site.brokers.ready(within=BACK_WITHIN)
        except NotReady as error:
            self._say(str(error))

    async def _wrong_answer(self, fault: Fault) -> None:
        status, retry_after = WRONG_ANSWERS[fault.kind]
        self._site.api.answer_with(status, retry_after=retry_after, times=1 + fault.victim % 3)
        # What nobody asked for while the breakers were open must not greet each probe for the rest of the run.
        await self._calm_for(fault.lasts)
        self._site.api.clear()

    async def _produce_error(self, fault: Fault) -> None:
        """Let the brokers refuse every enriched record, as they do after a mistake in a topic's settings."""
        try:
            await self._within(fault.lasts, lambda: self._limit(TINY))
            await asyncio.sleep(fault.lasts)
        finally:
            while not await self._limit():
                await asyncio.sleep(0.5)

    async def _limit(self, size: str = "") -> bool:
        """Set the largest record of the enriched topic, or what the contract says; True when it is set."""
        kafka = self._site.kafka
        name = Topics(kafka.topic_prefix).enriched
        config = next(topic.config for topic in contract(kafka) if topic.name == name)
        config = config | {"min.insync.replicas": "2" if len(self._site.brokers.nodes) > 2 else "1"}  # noqa: PLR2004
        config = config | ({"max.message.bytes": size} if size else {})
        admin = AIOKafkaAdminClient(**kafka.client_options(), request_timeout_ms=5000)
        try:
            await admin.start()
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=config)])
        except (KafkaError, OSError):
            return False
        finally:
            await admin.close()
        return True
