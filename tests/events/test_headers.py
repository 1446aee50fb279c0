"""Headers: what is written is read back, and what others wrote never breaks a reader."""

from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.headers import DeadLetter, RawHeaders, as_text, isoformat, parse_time
from events.identity import Kind

AT = datetime(2026, 11, 2, 7, 15, 10, 18342, UTC)
texts = st.text(st.characters(exclude_categories=["Cs"]))
times = st.datetimes(datetime(1970, 1, 1), datetime(9000, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
raw_headers = st.builds(
    RawHeaders,
    event_id=texts.filter(bool),
    kind=st.sampled_from(get_args(Kind)),
    delivery_id=texts,
    received_at=times,
    tenant=texts,
    hook=texts,
    origin=st.sampled_from(["webhook", "catch-up"]),
    traceparent=st.none() | st.from_regex(r"00-[1-9a-f][0-9a-f]{31}-[1-9a-f][0-9a-f]{15}-0[01]", fullmatch=True),
)


@given(raw_headers)
def test_raw_headers_round_trip(headers: RawHeaders) -> None:
    assert RawHeaders.from_kafka(headers.to_kafka()) == headers


def test_the_names_on_the_wire() -> None:
    headers = RawHeaders("e-1", "vendor", "d-1", AT, "acme", "soc", "webhook", "00-ab-cd-01").to_kafka()
    assert headers == [
        ("event-id", b"e-1"),
        ("event-id-kind", b"vendor"),
        ("delivery-id", b"d-1"),
        ("received-at", b"2026-11-02T07:15:10.018342+00:00"),
        ("tenant", b"acme"),
        ("hook", b"soc"),
        ("origin", b"webhook"),
        ("traceparent", b"00-ab-cd-01"),
    ]
    assert "traceparent" not in dict(RawHeaders("e-1", "vendor", "d-1", AT).to_kafka())


def test_a_record_without_our_headers_is_told_apart() -> None:
    assert RawHeaders.from_kafka(None) is None
    assert RawHeaders.from_kafka([]) is None
    assert RawHeaders.from_kafka([("event-id", b"e")]) is None
    assert RawHeaders.from_kafka([("event-id", b""), ("received-at", isoformat(AT).encode())]) is None
    assert RawHeaders.from_kafka([("event-id", b"e"), ("received-at", b"yesterday")]) is None


def test_a_reader_fills_in_what_an_older_writer_left_out() -> None:
    headers = [("event-id", b"e"), ("received-at", b"2026-11-02T08:15:10.018342+01:00"), ("event-id-kind", b"new")]
    assert RawHeaders.from_kafka(headers) == RawHeaders("e", "content", "", AT, "default", "", "webhook", None)


@given(st.lists(st.tuples(texts, st.none() | st.binary())))
def test_any_headers_can_be_read(headers: list[tuple[str, bytes]]) -> None:
    assert set(as_text(headers)) <= {name for name, _ in headers}
    RawHeaders.from_kafka(headers)


@given(st.text() | times.map(isoformat) | st.datetimes(timezones=st.timezones()).map(datetime.isoformat))
def test_a_time_read_can_be_written(text: str) -> None:
    time = parse_time(text)
    assert time is None or parse_time(isoformat(time)) == time


def test_times() -> None:
    east = AT.astimezone(timezone(timedelta(hours=5)))
    assert isoformat(east) == "2026-11-02T07:15:10.018342+00:00"
    assert isoformat(AT.replace(microsecond=0)) == "2026-11-02T07:15:10.000000+00:00"
    assert parse_time("2026-11-02T07:15:10.018342Z") == AT
    assert parse_time("2026-11-02T07:15:10") is None  # without a zone it names no moment
    assert parse_time("0001-01-01T00:00:00+14:00") is None  # before the first year in UTC
    assert parse_time(None) is None


def test_a_dead_letter_names_its_reason_and_origin() -> None:
    letter = DeadLetter(
        "stream", "not JSON: \ud800" + "x" * 600, "tocsin.raw.v1", 3, 41, attempts=2, first_at=AT, last_at=AT
    )
    headers = dict(letter.to_kafka())
    assert headers.pop("reason").decode().startswith("not JSON: ?xxx")
    assert len(dict(letter.to_kafka())["reason"]) == 500
    assert headers == {
        "stage": b"stream",
        "target": b"",
        "source-topic": b"tocsin.raw.v1",
        "source-partition": b"3",
        "source-offset": b"41",
        "attempts": b"2",
        "first-at": b"2026-11-02T07:15:10.018342+00:00",
        "last-at": b"2026-11-02T07:15:10.018342+00:00",
    }


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+00:00", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59+00:00"])
def test_a_time_with_which_nobody_can_reckon_is_none(text):
    """Such a record is taken as one that somebody else produced; it must not end the process."""
    assert RawHeaders.from_kafka([("event-id", b"e"), ("received-at", text.encode())]) is None
