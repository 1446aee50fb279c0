"""What holds of every JSON object, not only of the ones the vendor documents."""

import json
import random
from typing import Any

import orjson
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from events.identity import MAX_KEY, Identity, canonical, identify

texts = st.text(st.characters(exclude_categories=["Cs"]))  # JSON read as UTF-8 has no lone surrogates
integers = st.integers(-(2**53) + 1, 2**53 - 1)
floats = st.floats(-(2**53), 2**53, exclude_min=True, exclude_max=True)
scalars = st.none() | st.booleans() | integers | floats | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
objects = st.dictionaries(texts, values, max_size=5)
metadata = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("uuid", "created_at", "created", "community_uuid", "more"), values)
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "type": values,
        "action": values,
        "attributes": objects | values,
        "metadata": metadata | values,
        "more": values,
    },
)


def posted(body: Any, **style: Any) -> Identity:
    """Return the identity of an object written in some style of JSON."""
    raw = json.dumps(body, **style).encode()
    return identify(orjson.loads(raw), raw, "d-1")


def shuffled(value: Any, draw: random.Random) -> Any:
    if isinstance(value, dict):
        pairs = [(name, shuffled(inner, draw)) for name, inner in value.items()]
        draw.shuffle(pairs)
        return dict(pairs)
    return [shuffled(inner, draw) for inner in value] if isinstance(value, list) else value


@given(bodies)
def test_any_object_has_a_key_and_an_id_that_fit_a_header(body: dict[str, Any]) -> None:
    identity = posted(body)
    assert 0 < len(identity.key) <= MAX_KEY
    assert 0 < len(identity.event_id.encode()) <= MAX_KEY


@given(objects, st.randoms(use_true_random=False))
def test_key_order_whitespace_and_escapes_do_not_make_another_event(
    attributes: dict[str, Any], draw: random.Random
) -> None:
    body = {
        "type": "t",
        "action": "a",
        "attributes": attributes,
        "metadata": {"created_at": "2026-11-02T07:15:09+00:00"},
    }
    compact = posted(body, ensure_ascii=False, separators=(",", ":"))
    assert compact.kind == "content"
    assert posted(shuffled(body, draw), indent=3) == compact


@given(objects, objects)
@example({"a": "1"}, {"a": 1})
@example({"a": True}, {"a": 1})
@example({"a": None}, {})
@example({"a": [1, 2]}, {"a": [2, 1]})
def test_different_attributes_never_share_an_id(one: dict[str, Any], other: dict[str, Any]) -> None:
    body = {"type": "t", "action": "a", "metadata": {"created_at": "2026-11-02T07:15:09+00:00"}}
    same = rfc8785.dumps(one) == rfc8785.dumps(other)  # 1 and 1.0 are one number in JSON, True and 1 are not
    assert (posted(body | {"attributes": one}).event_id == posted(body | {"attributes": other}).event_id) is same


@settings(max_examples=200)
@given(values)
@example('\x00\x1f\x7f\u2028"\\/ \U0001f6a8')
@example({"\ue000": 1, "\U00010000": 2})
@example([1.0, -0.0, 1.5e-7, 1e-300, 123456789012345.6])
@example({"created_at": "2026-11-02T07:15:09.2,3.5]"})
@example(["\U0001f6a8", "12345678901234567890"])
@example([2**53 - 1, -(2**53) + 1])
def test_the_canonical_form_is_that_of_rfc_8785(value: Any) -> None:
    raw = json.dumps([value]).encode()
    assert canonical(orjson.loads(raw), raw) == rfc8785.dumps([value])
