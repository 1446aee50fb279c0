"""Look-ups are coalesced, batched, kept inside the budget, and silent when told to be."""

import asyncio
import importlib.util
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from stream.alert_api import Refused, Unavailable
from stream.fetching import AGAIN, NotFound
from stream.lookups import Exhausted


def _load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


virtual_time, pretended = _load("virtual_time"), _load("pretended_api")
Api, asking, LONG_AGO = pretended.Api, pretended.asking, pretended.LONG_AGO


def test_questions_asked_together_are_one_call():
    async def scenario():
        api = Api(f"a{n}" for n in range(30))
        async with asking(api) as lookups:
            answers = await asyncio.gather(*(lookups.ask(f"a{n % 30}", LONG_AGO, 3.0) for n in range(60)))
        assert [orjson.loads(answer.alert)["uuid"] for answer in answers[:30]] == [f"a{n}" for n in range(30)]
        assert len(api.calls) == 1
        assert len(api.calls[0]) == 30

    virtual_time.run(scenario())


def test_calls_keep_the_budget():
    async def scenario():
        api = Api(f"a{n}" for n in range(500))
        async with asking(api, batch_size=10) as lookups:
            await asyncio.gather(*(lookups.ask(f"a{n}", LONG_AGO, None) for n in range(500)))
        assert len(api.calls) == 50
        for first, fifth in zip(api.times, api.times[4:], strict=False):
            assert fifth - first >= 0.99

    virtual_time.run(scenario())


def test_a_query_too_long_for_a_proxy_is_halved_and_everybody_is_answered():
    async def scenario():
        api = Api(f"a{n}" for n in range(200))
        api.longest = 60
        async with asking(api, batch_size=100) as lookups:
            answers = await asyncio.gather(*(lookups.ask(f"a{n}", LONG_AGO, None) for n in range(200)))
            assert lookups.batches
            assert lookups.alerts_per_second == 4.0 * 50
        assert len(answers) == 200
        assert [len(call) for call in api.calls] == [100, 50, 50, 50, 50]

    virtual_time.run(scenario())


def test_a_full_call_does_not_wait_for_company():
    async def scenario():
        api = Api(f"a{n}" for n in range(100))
        async with asking(api, rate=1e6, batch_size=10) as lookups:
            began = asyncio.get_running_loop().time()
            await asyncio.gather(*(lookups.ask(f"a{n}", LONG_AGO, None) for n in range(100)))
            assert asyncio.get_running_loop().time() - began < 0.02

    virtual_time.run(scenario())


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("batch", ["refused", "ignored", "first"])
def test_a_list_that_cannot_batch_is_noticed_and_everybody_is_answered(batch, checked):
    async def scenario():
        api = Api((f"a{n}" for n in range(12)), batch=batch)
        async with asking(api, checked=checked) as lookups:
            if checked:
                assert lookups.batches is False
                assert lookups.alerts_per_second == 4.0
            answers = await asyncio.gather(*(lookups.ask(f"a{n}", LONG_AGO, None) for n in range(8)))
            assert lookups.batches is False
        assert [orjson.loads(answer.alert)["uuid"] for answer in answers] == [f"a{n}" for n in range(8)]

    virtual_time.run(scenario())


def test_a_missing_alert_is_not_found_and_the_others_are():
    async def scenario():
        async with asking(Api({"a", "b"})) as lookups:
            results = await asyncio.gather(
                *(lookups.ask(uuid, LONG_AGO, 3.0) for uuid in ("a", "b", "c")), return_exceptions=True
            )
        assert orjson.loads(results[0].alert) == {"uuid": "a"}
        assert isinstance(results[2], NotFound)

    virtual_time.run(scenario())


def test_an_answer_fetched_before_the_event_is_not_used():
    async def scenario():
        api = Api({"a"})
        async with asking(api) as lookups:
            answer = await lookups.ask("a", LONG_AGO, 3.0)
            await lookups.ask("a", answer.fetched_at, 3.0)
            assert len(api.calls) == 1
            await lookups.ask("a", answer.fetched_at + timedelta(microseconds=1), 3.0)
            assert len(api.calls) == 2

    virtual_time.run(scenario())


def test_two_errors_silence_it_and_further_questions_fail_at_once():
    async def scenario():
        api = Api({"a"}, error=Unavailable("status 500"))
        async with asking(api) as lookups:
            for _ in range(2):
                with pytest.raises(Unavailable):
                    await lookups.ask("a", LONG_AGO, 3.0)
            before = asyncio.get_running_loop().time()
            with pytest.raises(Unavailable):
                await lookups.ask("a", LONG_AGO, 3.0)
            assert asyncio.get_running_loop().time() == before
            assert len(api.calls) == 2

    virtual_time.run(scenario())


def test_a_refused_key_is_not_used_again():
    async def scenario():
        api = Api({"a"}, error=Refused("401"))
        async with asking(api) as lookups:
            with pytest.raises(Unavailable):
                await lookups.ask("a", LONG_AGO, 3.0)
            assert lookups.breaker.silent_for(asyncio.get_running_loop().time()) > 500

    virtual_time.run(scenario())


def test_new_alerts_are_asked_about_before_changed_ones_and_waiting_ones_before_those_that_went_out():
    async def scenario():
        api = Api({"patient", "patient-new", "changed", "new"})
        async with asking(api, batch_size=1) as lookups:
            asks = [
                lookups.ask("patient", LONG_AGO, None),
                lookups.ask("patient-new", LONG_AGO, None, created=True),
                lookups.ask("changed", LONG_AGO, 3.0),
                lookups.ask("new", LONG_AGO, 3.0, created=True),
            ]
            await asyncio.gather(*asks)
        assert api.calls == [("new",), ("changed",), ("patient-new",), ("patient",)]

    virtual_time.run(scenario())


def test_what_cannot_be_asked_in_time_is_told_at_once():
    async def scenario():
        api = Api(f"a{n}" for n in range(99))
        async with asking(api, batch_size=1) as lookups:
            asks = [asyncio.create_task(lookups.ask(f"a{n}", LONG_AGO, 3.0)) for n in range(99)]
            await asyncio.sleep(0)
            told = [ask for ask in asks if ask.done()]
            assert {type(ask.exception()) for ask in told} == {Exhausted}
            answered = await asyncio.gather(*(ask for ask in asks if ask not in told))
            assert 10 <= len(answered) <= 13, "four a second for three seconds"

    virtual_time.run(scenario())


def test_while_the_breaker_probes_one_call_is_made_and_it_is_small():
    async def scenario():
        api = Api((f"a{n}" for n in range(30)), error=Unavailable("status 503"))
        async with asking(api) as lookups:
            for _ in range(2):
                with pytest.raises(Unavailable):
                    await lookups.ask("a0", LONG_AGO, 3.0)
            await asyncio.sleep(31)
            asks = [asyncio.create_task(lookups.ask(f"a{n}", LONG_AGO, None)) for n in range(20)]
            await asyncio.wait(asks)
            assert len(api.calls) == 3
            assert len(api.calls[2]) == 1
            api.error = None
            await asyncio.sleep(61)
            await asyncio.gather(*(lookups.ask(f"a{n}", LONG_AGO, None) for n in range(20)))
            assert [len(call) for call in api.calls[3:]] == [1, 19]

    virtual_time.run(scenario())


def test_a_slow_call_does_not_hold_the_others():
    async def scenario():
        api = Api({"slow", "a"})
        async with asking(api, batch_size=1) as lookups:
            api.slow = {"slow"}
            slow = asyncio.create_task(lookups.ask("slow", LONG_AGO, None))
            await asyncio.sleep(1.0)
            await asyncio.wait_for(lookups.ask("a", LONG_AGO, 3.0), 1.0)
            assert not slow.done()

    virtual_time.run(scenario())


def test_a_list_that_could_not_batch_is_tried_again_later():
    """One odd answer of a proxy must not make four alerts a second of four hundred until the next restart."""

    async def scenario():
        api = Api((f"a{n}" for n in range(40)), batch="refused")
        async with asking(api) as lookups:
            assert lookups.batches is False
            api.batch = "yes"
            await asyncio.sleep(AGAIN)
            await asyncio.gather(*(lookups.ask(f"a{n}", LONG_AGO, None) for n in range(20)))
            assert lookups.batches is True
            assert max(len(call) for call in api.calls if isinstance(call, tuple)) > 10

    virtual_time.run(scenario())
