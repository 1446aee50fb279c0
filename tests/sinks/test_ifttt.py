"""IFTTT: the address and the three values an applet gets."""

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given
from pydantic import ValidationError

from sinks.destinations.ifttt import Ifttt, IftttSettings, values
from sinks.summary import summarise

_spec = importlib.util.spec_from_file_location("hostile", Path(__file__).with_name("hostile.py"))
assert _spec
assert _spec.loader
hostile = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hostile)


@given(hostile.events())
def test_three_short_texts_without_addresses(event):
    told = values(summarise(event))
    assert set(told) == {"value1", "value2", "value3"}
    assert told["value3"] == hostile.LINK
    assert "://" not in told["value1"] + told["value2"]
    assert len(told["value1"]) <= 1_000
    assert len(told["value2"]) <= 1_000


def test_what_a_person_reads():
    told = values(summarise(hostile.event(title="Beacon", entity="PC-7", urgency=85)))
    assert told["value1"] == "Beacon"
    assert told["value2"].startswith("Urgent 85/100 · Alert created")
    assert "PC-7" in told["value2"]


@pytest.mark.parametrize("wrong", [{"key": "a/../b"}, {"key": ""}, {"event": "soc alert"}, {"event": "a/json"}])
def test_what_cannot_stand_in_the_address_is_refused(wrong):
    with pytest.raises(ValidationError):
        IftttSettings.model_validate({"key": "k", "event": "soc"} | wrong)
    assert Ifttt.Settings is IftttSettings
