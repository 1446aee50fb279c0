"""What can never hold, and what follows from what: by example, and against the conditions themselves."""

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.conditions import Conditions, compile_conditions
from sinks.facts import Facts
from sinks.rules_reach import alternatives, implies, never

_spec = importlib.util.spec_from_file_location("rule_index", Path(__file__).with_name("test_rule_index.py"))
assert _spec
assert _spec.loader
site = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(site)


def conditions(match: dict) -> Conditions:
    return Conditions.model_validate(match)


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ({"urgency": ">= 101"}, "urgency: >= 101 cannot be; it is 0 to 100"),
        ({"urgency": "> 100"}, "urgency: > 100 cannot be"),
        ({"similar": "< 0"}, "similar: < 0 cannot be; it is 0 or more"),
        ({"urgency": ">= 70", "all": [{"urgency": "low"}]}, "urgency: >= 70 and low cannot be"),
        ({"all": [{"confidence": "> 50"}, {"all": [{"confidence": "<= 50"}]}]}, "confidence: > 50 and <= 50 cannot"),
        ({"type": "case", "all": [{"type": ["Alert", "alert-comment"]}]}, "type: no type is all of these at once"),
        ({"type": ["case", "content-proposal"], "urgency": ">= 70"}, "urgency: an event of type case or content-p"),
        ({"flint": True, "all": [{"flint": False}]}, "flint: true and false at once"),
        ({"type": "alert", "not": {"type": "al*"}}, "not: the other conditions say what it forbids"),
        ({"not": {}}, "not: the other conditions"),
        ({"any": [{"urgency": "> 100"}, {"not": {}}]}, "any: urgency: > 100 cannot be"),
        ({"urgency": "<= 100"}, ""),
        ({"urgency": "= 100"}, ""),
        ({"similar": ">= 999999"}, ""),
        ({"type": "case", "status": "x"}, ""),
        ({"type": "*", "all": [{"type": "case"}]}, ""),
        ({"any": [{"urgency": "> 100"}, {"type": "case"}]}, ""),
        ({}, ""),
    ],
    ids=str,
)
def test_never(match, said):
    found = never(conditions(match))
    assert found.startswith(said)
    assert bool(found) == bool(said)


@pytest.mark.parametrize(
    ("narrow", "wide", "sure"),
    [
        ({"type": "alert"}, {}, True),
        ({}, {"type": "alert"}, False),
        ({"type": "alert", "urgency": ">= 80"}, {"urgency": "> 70"}, True),
        ({"urgency": "urgent"}, {"urgency": ">= 80"}, True),
        ({"urgency": ">= 80"}, {"urgency": "urgent"}, True),
        ({"urgency": ">= 70"}, {"urgency": "> 70"}, False),
        ({"entity": "Acme Lyon"}, {"entity": ["x", "acme*"]}, True),
        ({"entity": ["Acme Lyon", "y"]}, {"entity": "acme*"}, False),
        ({"entity": "acme l*"}, {"entity": "acme*"}, False),
        ({"source": "10.0.0.0/8"}, {"source": "10.*"}, False),
        ({"all": [{"entity": "x"}]}, {"entity": "x"}, True),
        ({"entity": "x"}, {"all": [{"entity": "x"}]}, True),
        ({"entity": "x"}, {"any": [{"entity": "x"}, {"entity": "y"}]}, True),
        ({"any": [{"entity": "x"}, {"entity": "y"}]}, {"any": [{"entity": "y"}, {"entity": "x"}]}, True),
        ({"any": [{"entity": "x"}, {"type": "case"}]}, {"any": [{"entity": "y"}, {"entity": "x"}]}, False),
        ({"if": "urgency > 3"}, {"if": "urgency > 3"}, True),
        ({"not": {"type": "case"}}, {"not": {"type": "case"}}, True),
        ({"not": {"type": "case"}}, {"not": {"type": "alert"}}, False),
        ({"recurrence": 10}, {"recurrence": 10}, False),
    ],
    ids=str,
)
def test_implies(narrow, wide, sure):
    assert implies(conditions(narrow), conditions(wide)) is sure


@settings(max_examples=400)
@given(site.MATCHES, site.MATCHES, st.lists(site.EVENTS, min_size=1, max_size=6))
def test_what_is_said_is_true_of_every_event(narrow, wide, events):
    """Law: what never holds never does, and what follows does; also where an event is not known yet, in its part."""
    one, other = conditions(narrow), conditions(wide)
    for event in events:
        facts = Facts(event)
        said = compile_conditions(one)(facts)
        assert not (never(one) and said), "never"
        if implies(one, other):
            assert not (said and compile_conditions(other)(facts) is False), "implies"


def test_alternatives_are_found_at_any_depth():
    match = conditions({"any": [{"type": "x"}, {"all": [{"any": [{"type": "y"}]}]}], "all": [{"any": [{"type": "z"}]}]})
    assert [(path, one.type) for path, one in alternatives(match)] == [
        (("any", 0), ["x"]),
        (("any", 1), []),
        (("any", 1, "all", 0, "any", 0), ["y"]),
        (("all", 0, "any", 0), ["z"]),
    ]
