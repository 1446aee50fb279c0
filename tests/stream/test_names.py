"""Names are looked up beside the alerts, and never at their cost."""

import asyncio
import importlib.util
from pathlib import Path
from uuid import UUID

import pytest

from stream.alert_api import Refused
from stream.breaker import REST, Breaker


def _load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


virtual_time, pretended = _load("virtual_time"), _load("pretended_api")
Api, asking, LONG_AGO = pretended.Api, pretended.asking, pretended.LONG_AGO

COMMUNITY = ("community", "9d1c7e60-2f3b-4a8e-b5c4-6e0f1a2b3c4d")
ASSET = ("asset", "9d1c7e60-2f3b-4a8e-b5c4-6e0f1a2b3c4e")


def test_names_are_asked_for_once_and_kept():
    async def scenario():
        api = Api()
        api.named = {"community": {COMMUNITY[1]: "Acme"}}
        async with asking(api) as lookups:
            for _ in range(2):
                await lookups.ask_names([COMMUNITY], 3.0)
                assert lookups.names.collect([COMMUNITY]) == {"community": "Acme"}
            assert api.calls == [COMMUNITY]

    virtual_time.run(scenario())


def test_a_403_switches_a_kind_off_and_three_404s_before_any_name_too_but_not_the_others():
    async def scenario():
        api = Api({"a"})
        api.named = {"community": Refused("403", permission=True), "asset": {}, "case": {COMMUNITY[1]: "C"}}
        async with asking(api) as lookups:
            await lookups.ask_names([COMMUNITY], 3.0)
            await asyncio.sleep(11)
            for number in range(3):
                assert set(lookups.names.off) == {"community"}, "one asset that was deleted says nothing of the others"
                await lookups.ask_names([("asset", str(UUID(int=number)))], 3.0)
                await asyncio.sleep(11)
            assert set(lookups.names.off) == {"community", "asset"}
            await lookups.ask_names([COMMUNITY, ASSET], 3.0)
            assert len(api.calls) == 4
            await lookups.ask_names([("case", COMMUNITY[1])], 3.0)
            assert lookups.names.collect([("case", COMMUNITY[1])]) == {"case": "C"}
            assert (await lookups.ask("a", LONG_AGO, 3.0)).short_id is None
            assert not lookups.breaker.reason

    virtual_time.run(scenario())


def test_a_name_that_is_not_there_silences_several_workers_for_as_long_as_an_error_counts_and_no_longer():
    async def scenario():
        api, told, loop = Api({"a"}), [], asyncio.get_running_loop()
        api.named = {"asset": {}}
        async with asking(api) as lookups:
            lookups.breaker.allowed_errors = 0  # others call from the same address
            lookups.tell = lambda _reason, silent: told.append(silent)
            await lookups.ask_names([ASSET], 3.0)
            assert told == [pytest.approx(REST)]
            other = Breaker(allowed_errors=0)
            other.heard(loop.time(), "no asset", told[0])
            assert other.silent_for(loop.time()) == pytest.approx(REST)
            await asyncio.sleep(REST)
            assert (await lookups.ask("a", LONG_AGO, 3.0)).short_id is None
            assert not lookups.breaker.probing
            assert lookups.breaker.reason == ""

    virtual_time.run(scenario())


def test_a_401_to_a_name_stops_everything_and_switches_nothing_off():
    async def scenario():
        api = Api()
        api.named = {"community": Refused("401")}
        async with asking(api) as lookups:
            await lookups.ask_names([COMMUNITY], 3.0)
            assert not lookups.names.off
            assert lookups.breaker.silent_for(asyncio.get_running_loop().time()) > 500

    virtual_time.run(scenario())


def test_names_take_one_call_in_four_while_alerts_wait():
    async def scenario():
        api = Api(f"a{n}" for n in range(40))
        async with asking(api, batch_size=1) as lookups:
            asks = [asyncio.create_task(lookups.ask(f"a{n}", LONG_AGO, None)) for n in range(40)]
            names = [("case", f"{n:08}-2f3b-4a8e-b5c4-6e0f1a2b3c4d") for n in range(40)]
            api.named = {"case": {uuid: "C" for _, uuid in names}}
            await lookups.ask_names(names, 0.0)
            await asyncio.sleep(5.0)
            assert sum(call[0] == "case" for call in api.calls) == len(api.calls) // 4
            for ask in asks:
                ask.cancel()

    virtual_time.run(scenario())
