"""CEL conditions: what they see, what they say of what is not known, and what they refuse."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sinks import cel
from sinks.conditions import Conditions, compile_conditions
from sinks.facts import Facts

ALERT = {
    "uuid": "a1",
    "title": "PowerShell download",
    "urgency": {"current_value": 75, "criticity": 80},
    "entity": {"uuid": "e1", "name": "Acme Finance"},
    "source": "10.20.30.42",
    "assets": ["as1", "as2"],
    "ttps": [{"id": "t1", "name": "PowerShell"}, {"id": "t2", "name": "Phishing"}],
    "similar": 14,
}


def event(alert: dict[str, Any] | None = ALERT, status: str = "complete", **attributes: Any) -> EnrichedEvent:
    return EnrichedEvent(
        event_id="e",
        received_at=datetime(2026, 7, 29, 8, 6, tzinfo=UTC),
        event=WebhookEvent(type="alert", action="updated", attributes=attributes),
        alert=alert,
        names={} if alert is None else {"assets": {"as1": "dc01"}},
        enrichment=Enrichment(status=status),
    )


def verdict(text: str, one: EnrichedEvent) -> bool | None:
    return compile_conditions(Conditions.model_validate({"if": text}))(Facts(one))


YES = [
    "urgency >= 70",
    "urgency == 75",
    "urgency > asset_criticality - 10.0",
    "'Acme Finance' in entity",
    "entity.exists(one, one.startsWith('Acme'))",
    "'dc01' in asset && 'as2' in asset",
    "source.startsWith('10.')",
    "target == null",
    "tlp == null && size(threat) == 0",
    "type == 'alert' && action == 'updated'",
    "alert.title.matches('(?i)^powershell')",
    "lower(alert.title).contains('powershell')",
    "alert.ttps.exists(t, t.name == 'Phishing')",
    "alert.ttps.filter(t, t.id != 't1').size() == 1",
    "alert.ttps.all(t, alert.assets.all(a, a != t.id))",
    "has(alert.title) && !has(alert.nothing)",
    "event.attributes.updated.similar == 15",
    "names.assets.as1 == 'dc01'",
    "received_at.getHours() == 8 && received_at > timestamp('2026-01-01T00:00:00Z')",
    "similar >= 10 ? urgency > 50 : urgency > 90",
    "true || alert.nothing.at.all == 1",
]
NO = [
    "urgency > 75",
    "alert.nothing == 1",
    "!(alert.nothing == 1)",
    "alert.title > 3",
    "urgency",
    "1 / int(urgency - 75.0) > 0",
    "alert.title[0] == 'P'",
    "int(alert.title) == 1",
    "false && urgency > 1",
]


@pytest.mark.parametrize("text", YES)
def test_holds(text):
    assert verdict(text, event(updated={"similar": 15})) is True


@pytest.mark.parametrize("text", NO)
def test_does_not_hold_or_has_no_answer(text):
    assert verdict(text, event()) is False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("urgency >= 70", None),
        ("!(urgency >= 70)", None),
        ("'x' in entity", None),
        ("alert.title == 'x'", None),
        ("names.assets.as1 == 'dc01'", None),
        ("'dc01' in asset", None),
        ("urgency >= 70 && type == 'case'", False),
        ("urgency >= 70 || type == 'alert'", True),
        ("urgency >= 70 && type == 'alert'", None),
        ("urgency >= 70 || event.attributes.nothing == 1", None),
        ("event.attributes.nothing == 1", False),
        ("type == 'alert' ? urgency > 1 : true", None),
    ],
)
def test_what_is_not_known_yet_is_neither_yes_nor_no(text, said):
    assert verdict(text, event(None, "pending")) is said


def test_what_the_event_tells_is_known_early():
    assert verdict("urgency >= 70", event(None, "pending", urgency_current_value=80)) is True
    assert verdict("'R' in rule", event(None, "pending", rule_name="R")) is True


@pytest.mark.parametrize(
    ("text", "said", "line", "column"),
    [
        ("urgency >=", "not CEL: mismatched input the end", 1, 11),
        ("urgency >= 70 &&\n  urgancy > 3", "there is no 'urgancy': did you mean 'urgency'?", 2, 3),
        ("alert.title.startWith('x')", "there is no function 'startWith': did you mean 'startsWith'?", 1, 13),
        ("alert.title.matches('[')", "not a pattern matches() can use", 1, 21),
        ("alert.title.matches(alert.details)", "matches() takes one pattern, written out", 1, 13),
        ("alert.title.matches('a' + alert.details)", "matches() takes one pattern", 1, 13),
        ("entity == 'Acme'", "entity is a list: write 'text' in entity", 1, 1),
        ("asset.exists(type, type == 'x')", "'type' is a field of the event", 1, 14),
        ("asset.exists(i, one, one == 'x')", "exists takes a name and a condition", 1, 7),
        ("exists(asset, true)", "there is no function 'exists'", 1, 1),
        ("asset.all(a, asset.all(b, asset.all(c, a == b)))", "loops are nested deeper than 2", 1, 36),
        ("asset.all(a, asset.map(b, a + b).size() == 1)", "map and filter stand in no other loop", 1, 23),
        ("asset.map(b, asset.all(a, a == b)).size() == 1", "map and filter stand in no other loop", 1, 23),
        ("asset.all(a, r'\\' + asset.all(b, asset.all(c, c == r'\\'))) == 1", "nested deeper", 1, 43),
        ("1 == 1", "asks nothing of the event", 1, 1),
        ("`alert`.x", "backticks", 1, 1),
        ("'x' in " * 300 + "asset", "longer than 2000 characters", 1, 1),
        ("(" * 300 + "urgency" + ")" * 300, "not CEL", 1, None),
    ],
)
def test_a_mistake_is_one_sentence_with_its_place(text, said, line, column):
    with pytest.raises(cel.Mistake) as raised:
        cel.compile_text(text)
    assert said in raised.value.said
    assert "\n" not in raised.value.said
    assert (raised.value.line, raised.value.column) == (line, column or raised.value.column)


@pytest.mark.parametrize("value", [1, True, ["urgency > 1"], "urgancy > 1"])
def test_the_rules_file_takes_nothing_else(value):
    with pytest.raises(ValidationError):
        Conditions.model_validate({"if": value})


def test_every_function_there_is_can_be_called():
    texts = {
        "timestamp": "timestamp('2026-01-01T00:00:00Z') < received_at",
        "duration": "duration('1s') < duration('2s') || urgency > 1",
    }
    for name in cel.cel_text.FUNCTIONS - {"has", "timestamp", "duration", "size", "lower", "string", "int", "double"}:
        texts[name] = (
            f"received_at.{name}() >= 0" if name.startswith("get") else f"alert.title.{name}('P') || urgency > 200"
        )
    texts |= {name: f"{name}(urgency) == {name}(75)" for name in ("int", "double", "dyn")}
    texts |= {
        "type": "type(urgency) == type(75.0)",
        "string": "string(urgency) != ''",
        "matches": "alert.title.matches('^P')",
    }
    texts["endsWith"] = "alert.title.endsWith('d')"
    for name, text in texts.items():
        assert verdict(text, event()) is True, name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5) | st.sampled_from(list(ALERT)), inner)
    ),
    max_leaves=20,
)


@given(st.sampled_from([*YES, *NO]), JSON, JSON)
def test_an_event_of_any_shape_is_answered(text, shape, other):
    alert = shape if isinstance(shape, dict) else dict.fromkeys(ALERT, shape)
    assert verdict(text, event(alert, updated=other)) in {True, False}


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from([*"()[]{}.,'\"!?:+-<>=&|`\\\n", "urgency", "alert", "all", "x", "1", "matches", "r'"]),
        max_size=25,
    ).map("".join)
)
def test_any_text_is_compiled_or_refused_with_a_place_in_it(text):
    places = []
    try:
        cel.compile_text(text)
    except cel.Mistake as wrong:
        places.append((wrong.line, wrong.column))
    assert all(1 <= line <= text.count("\n") + 1 and column >= 1 for line, column in places)


def test_a_hostile_event_is_cut_down_before_anything_looks_at_it():
    deep: Any = "x"
    for _ in range(150):
        deep = {"in": deep}
    wide = {"title": "a" * 10**6, "assets": [f"as{n}" for n in range(10**5)], "deep": deep}
    one = event({**wide, **{f"k{n}": n for n in range(10**4)}}, updated={"similar": 2**64})
    facts = Facts(one)
    assert (
        compile_conditions(Conditions.model_validate({"if": "alert.assets.all(a, alert.assets.all(b, a == b))"}))(facts)
        is False
    )
    seen = facts.view.context.variables["alert"]
    assert len(seen["title"]) == cel.CHARACTERS
    assert len(seen["assets"]) == cel.ITEMS
    assert len(seen) == cel.ITEMS
    assert len(json.dumps(seen)) < 20_000
    assert verdict("event.attributes.updated.similar > 10000.0", one) is True


def test_the_slowest_that_may_be_written_ends():
    one = event({"assets": ["a" * cel.CHARACTERS] * cel.ITEMS, "title": "a" * 10**6})
    assert verdict("alert.assets.all(a, alert.assets.all(b, a == b))", one) is True
    assert verdict("alert.assets.map(a, a + a).size() == 100", one) is True
    assert verdict("alert.title.matches('(a{30}){30}(a{30}){30}b')", one) is False
