"""Rules asked all at once say what each says by itself."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sinks.conditions import Conditions, compile_conditions
from sinks.facts import Facts
from sinks.rule_index import RuleIndex

WORDS = st.sampled_from(["alert", "Acme", "a*", "10.0.0.0/8", "10.1.2.3", "x"])
SIMPLE = st.fixed_dictionaries(
    {},
    optional={
        "type": WORDS,
        "entity": st.lists(WORDS, min_size=1, max_size=2),
        "asset": WORDS,
        "source": WORDS,
        "urgency": st.sampled_from([">= 70", "low", "< 20"]),
        "similar": st.sampled_from([">= 10", "= 1"]),
        "when": st.sampled_from([{"hours": "08:00-09:00"}, {"days": "sun"}]),
    },
)
MATCHES = st.recursive(
    SIMPLE,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": WORDS,
            "any": st.lists(inner, min_size=1, max_size=2),
            "all": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
        },
    ),
    max_leaves=5,
)
ALERTS = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "entity": st.fixed_dictionaries({"name": WORDS}),
        "assets": st.lists(WORDS, max_size=2),
        "source": WORDS,
        "urgency": st.fixed_dictionaries({"current_value": st.sampled_from([0, 19, 20, 70, 100])}),
        "similar": st.sampled_from([1, 10]),
    },
)
EVENTS = st.builds(
    lambda kind, alert, status, entity: EnrichedEvent(
        event_id="e",
        received_at=datetime(2026, 7, 29, 8, 6, tzinfo=UTC),
        event=WebhookEvent(type=kind, action="updated", attributes={"entity_name": entity}),
        alert=alert,
        enrichment=Enrichment(status=status),
    ),
    st.sampled_from(["alert", "case"]),
    ALERTS,
    st.sampled_from(["complete", "pending", "unavailable"]),
    st.none() | WORDS,
)


@given(st.lists(MATCHES, max_size=8), st.lists(EVENTS, min_size=1, max_size=4))
def test_the_index_says_what_each_rule_says(matches: list[dict[str, Any]], events: list[EnrichedEvent]):
    parsed = [Conditions.model_validate(match) for match in matches]
    index = RuleIndex(parsed)
    for event in events * 2:  # a second time from what is remembered
        asked = [compile_conditions(one)(Facts(event)) for one in parsed]
        assert list(index.possible(Facts(event))) == [(n, v) for n, v in enumerate(asked) if v is not False]
