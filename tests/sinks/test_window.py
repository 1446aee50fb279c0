"""Urgent first, order per alert kept, nothing forgotten."""

from datetime import UTC, datetime
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from events.codec import encode
from events.headers import enriched_headers
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sinks.window import Window, is_urgent, urgent


def record(offset, key=b"k", partition=0, value=b"x"):
    return SimpleNamespace(partition=partition, offset=offset, key=key, value=value)


STEPS = st.lists(
    st.one_of(
        st.none(), st.sampled_from(["done", "back"]), st.tuples(st.sampled_from([b"a", b"b", None]), st.booleans())
    ),
    max_size=80,
)


@given(STEPS, st.data())
def test_whatever_comes_and_goes_the_order_of_a_key_is_kept_and_urgent_ones_do_not_wait(steps, data):
    window, inside, out, offset = Window(1000, 10**6), [], [], 0
    for step in steps:
        if isinstance(step, tuple):
            window.add(record(offset, step[0]), urgent=step[1])
            inside.append((offset, offset if step[0] is None else step[0], step[1]))
            offset += 1
        elif step is not None and out:
            held = out.pop(data.draw(st.integers(0, len(out) - 1)))
            window.put_back(held) if step == "back" else window.release(held)
            if step == "back":
                inside = sorted([*inside, (held.record.offset, held.key[1], held.urgent)])
        elif step is None:
            busy = {held.key[1] for held in out}
            ready = [one for one in inside if one[1] not in busy]
            urgent_keys = {one[1] for one in ready if one[2]}
            taken = window.take()
            assert (taken is None) == (not ready)
            if taken:
                held, lifted = taken
                own = held.key[1]
                assert lifted == bool(urgent_keys)
                assert own in (urgent_keys or {one[1] for one in ready})
                assert held.record.offset == next(one[0] for one in ready if one[1] == own), "out of order"
                assert lifted or held.record.offset == ready[0][0]
                inside = [one for one in inside if one[0] != held.record.offset]
                out.append(held)
        assert len(window) == len(inside)
        assert window.urgent == sum(one[2] for one in inside)


def test_bounded_by_count_and_by_bytes():
    window = Window(2, 10)
    window.add(record(0), urgent=False)
    assert not window.full
    window.add(record(1), urgent=False)
    assert window.full
    window.clear()
    window.add(record(2, value=b"x" * 10), urgent=False)
    assert window.full


def test_what_was_let_go_stays_away():
    window = Window(10, 10**6)
    window.add(record(0), urgent=True)
    held, _ = window.take()
    window.clear()
    window.put_back(held)
    window.release(held)
    assert (len(window), window.take()) == (0, None)


def test_what_is_not_known_is_urgent():
    event = EnrichedEvent(
        event_id="e1",
        received_at=datetime(2026, 7, 29, tzinfo=UTC),
        event=WebhookEvent(type="alert", action="created", attributes={"uuid": "u"}),
        enrichment=Enrichment(status="pending"),
    )
    about = event.event.attributes
    known = event.event.model_copy(update={"attributes": {**about, "urgency_current_value": 79}})
    assert not urgent(encode(event.model_copy(update={"alert": None, "event": known})))
    known = event.event.model_copy(update={"attributes": {**about, "urgency_current_value": 80}})
    assert urgent(encode(event.model_copy(update={"alert": None, "event": known})))
    unknown = event.event.model_copy(update={"attributes": {"uuid": "u"}})
    assert urgent(encode(event.model_copy(update={"alert": None, "event": unknown})))
    case = event.event.model_copy(update={"type": "case", "attributes": {}})
    assert not urgent(encode(event.model_copy(update={"alert": None, "event": case})))
    for strange in (None, b"", b"[]", b"{}", b'{"event":3}', b'{"event":{"type":"alert","attributes":[]}}'):
        assert urgent(strange)


@given(st.one_of(st.none(), st.integers(0, 100), st.floats(), st.booleans(), st.text(max_size=3)), st.booleans())
def test_the_header_says_the_same_as_the_value(urgency, in_alert):
    alert = {"urgency": {"current_value": urgency}} if in_alert else None
    attributes = {} if in_alert else {"urgency_current_value": urgency}
    event = EnrichedEvent(
        event_id="e1",
        received_at=datetime(2026, 7, 29, tzinfo=UTC),
        event=WebhookEvent(type="alert", action="created", attributes=attributes),
        alert=alert,
        enrichment=Enrichment(status="complete"),
    )
    value, headers = encode(event), enriched_headers(event)
    assert is_urgent(SimpleNamespace(value=value, headers=headers)) == urgent(value)
    assert is_urgent(SimpleNamespace(value=value, headers=())) == urgent(value)
    assert is_urgent(SimpleNamespace(value=value, headers=[("urgency", b"high")])) == urgent(value)


@given(st.lists(st.one_of(st.none(), st.tuples(st.sampled_from([b"a", b"b"]), st.booleans())), max_size=60), st.data())
def test_what_is_put_back_comes_again_and_the_head_is_what_came_first(steps, data):
    window, inside, offset = Window(1000, 10**6), [], 0
    for step in steps:
        if step is not None:
            window.add(record(offset, step[0]), urgent=step[1])
            inside.append(offset)
            offset += 1
        elif inside:
            head = data.draw(st.booleans())
            held, _ = window.take(head=head)
            if data.draw(st.booleans()):
                window.put_back(held)
                again, _ = window.take(head=head)
                assert not head or again.record.offset == held.record.offset == inside[0]
                held = again
            window.release(held)
            inside.remove(held.record.offset)
        assert len(window) == len(inside)
    assert window.urgent == sum(held.urgent for queue in window._queues.values() for held in queue)
