"""The public port, in process: every status, and what becomes of a body."""

import asyncio
import itertools
import logging
from datetime import UTC

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from events.topics import MAX_BODY
from ingest import app as app_module
from ingest import body as body_module
from ingest.delivery_id import delivery_ids

DOCUMENTED = (
    b'{"type":"alert","action":"created",\n'
    b' "attributes":{"uuid":"3b0f6a52-7d1e-4c7a-9f0b-5a1f2f0c9d11","short_id":"ALq7Zt3Kx9Pd"},\n'
    b' "metadata":{"version":2,"created_at":"2026-07-29T08:06:57.512034+00:00",\n'
    b'  "community_uuid":"9d1c7e60-2f3b-4a8e-b5c4-6e0f1a2b3c4d",\n'
    b'  "avatar_uuid":null,"user_uuid":null,"permissions":[]}}'
)


def object_of(size: int) -> bytes:
    return b'{"x":"' + b"a" * (size - 8) + b'"}'


def test_the_documented_body_is_published_byte_for_byte(door, known):
    answer = door.request(content=DOCUMENTED, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.text) == (200, "accepted\n")
    [record] = door.publisher.records
    assert record.value == DOCUMENTED
    assert record.key == b"3b0f6a52-7d1e-4c7a-9f0b-5a1f2f0c9d11"
    headers = door.headers()
    assert headers.kind == "content"
    assert headers.received_at == known.now.astimezone(UTC)
    assert (headers.tenant, headers.hook, headers.origin, headers.traceparent) == ("default", "soc", "webhook", None)
    assert len(bytes.fromhex(headers.delivery_id)) == 16
    assert door.count("accepted", hook="soc") == 1


def test_no_two_deliveries_have_the_same_name():
    ids = list(itertools.islice(delivery_ids(), 1000))
    assert len(set(ids)) == 1000
    assert {len(bytes.fromhex(each)) for each in ids} == {16}


def test_posted_twice_it_is_one_event_delivered_twice(door):
    for _ in range(2):
        assert door.request(content=DOCUMENTED).status_code == 200
    first, second = door.headers(0), door.headers(1)
    assert first.event_id == second.event_id
    assert first.delivery_id != second.delivery_id


def test_a_body_without_a_time_is_a_new_event_each_time(door):
    for _ in range(2):
        door.request(content=b'{"type":"playbook","action":"error"}')
    first, second = door.headers(0), door.headers(1)
    assert (first.kind, second.kind) == ("delivery", "delivery")
    assert first.event_id == first.delivery_id != second.event_id


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"never-heard-of","action":"exploded","metadata":{"version":7}}',
        b'{"event_version":1,"event_type":"alert","uuid":"x","attributes":{"event":"alert-created","alert_uuid":"y"}}',
        b"{}",
        b'{"attributes":null,"metadata":[1,2]}',
        b'\n {"a":1,"a":2} \n',
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", None])
def test_any_object_of_any_content_type_is_welcome(door, body, content_type):
    headers = {"content-type": content_type} if content_type else {}
    assert door.request(content=body, headers=headers).status_code == 200
    assert door.publisher.records[-1].value == body


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON"),
        (b'{"a":NaN}', "not JSON"),
        (b'{"a":"\xff"}', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a":1}{"b":2}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "not an object: list"),
        (b"null", "not an object: NoneType"),
        (b'"text"', "not an object: str"),
    ],
)
def test_what_is_no_object_is_400_with_one_line(door, body, reason):
    answer = door.request(content=body)
    assert answer.status_code == 400
    assert reason in answer.text
    assert answer.text.count("\n") == 1
    assert answer.headers["content-type"].startswith("text/plain")
    assert door.publisher.records == []
    assert door.count("rejected", reason="malformed") == 1


def test_both_tokens_of_a_hook_work_and_the_hook_is_named(door, known):
    for token in (known.token, known.new_token, "token-of-the-laboratory"):
        assert door.request(path=f"/hooks/{token}", content=DOCUMENTED).status_code == 200
    assert [door.headers(place).hook for place in range(3)] == ["soc", "soc", "lab"]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/hooks",
        "/hooks/",
        "/hooks/wrong",
        "/hooks/s3cret-token-of-the-so",
        "/hooks/s3cret-token-of-the-soc/",
        "/hooks/s3cret-token-of-the-soc/x",
        "/hooks/%FF%FE",
        "/hook/s3cret-token-of-the-soc",
        "/docs",
        "/openapi.json",
        "/metrics",
        "/healthz",
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET", "HEAD"])
def test_an_unknown_token_looks_like_any_unknown_path(door, method, path):
    answer = door.request(method, path)
    assert (answer.status_code, answer.text) == (404, "" if method == "HEAD" else "not found\n")
    assert door.count("rejected", reason="unknown") == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
def test_only_post(door, method):
    answer = door.request(method, content=DOCUMENTED)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert door.publisher.records == []


def chunks(body: bytes, size: int):
    async def pieces():
        for start in range(0, len(body), size):
            yield body[start : start + size]

    return pieces()


@pytest.mark.parametrize("pieces", [0, 1000, 100_000])
def test_the_cap_is_exact(door, pieces):
    def content(size: int):
        return chunks(object_of(size), pieces) if pieces else object_of(size)

    assert door.request(content=content(MAX_BODY)).status_code == 200
    assert len(door.publisher.records[0].value) == MAX_BODY
    answer = door.request(content=content(MAX_BODY + 1))
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    assert len(door.publisher.records) == 1
    assert door.count("rejected", reason="too_large") == 1


def test_a_body_without_end_is_not_read_to_its_end(door, monkeypatch):
    monkeypatch.setattr(body_module, "LINGER", 0.01)
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 65536
            yield b"a" * 65536
            if sent > 2 * MAX_BODY:
                await asyncio.sleep(0.005)

    assert door.request(content=endless()).status_code == 413
    assert sent < 100 * MAX_BODY


def test_a_slow_body_is_408(door, monkeypatch):
    monkeypatch.setattr(body_module, "READ_WITHIN", 0.01)

    async def slow():
        yield b"{"
        await asyncio.sleep(30)

    answer = door.request(content=slow())
    assert answer.status_code == 408
    assert door.count("rejected", reason="slow") == 1


def test_a_sender_that_hangs_up_half_way_publishes_nothing(door, known):
    messages = [
        {"type": "http.request", "body": b'{"type":"alert"', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive():
        return messages.pop(0)

    async def send(message):
        pass

    scope = {"type": "http", "method": "POST", "path": f"/hooks/{known.token}", "headers": []}
    asyncio.run(door.app(scope, receive, send))
    assert door.publisher.records == []
    assert door.count("rejected", reason="disconnected") == 1


def test_a_body_that_is_there_is_taken_at_once_and_answered_the_short_way(door, known):
    replies = []

    async def never(*_):
        raise AssertionError

    def reply(answer, *, last):
        replies.append((answer.status, last))
        return True

    state = {app_module.BODY: DOCUMENTED, app_module.REPLY: reply}
    scope = {"type": "http", "method": "POST", "path": f"/hooks/{known.token}", "headers": [], "state": state}
    asyncio.run(door.app(scope, never, never))
    assert [record.value for record in door.publisher.records] == [DOCUMENTED]
    assert replies == [(200, False)]


def test_not_published_is_503_and_asks_to_come_back(door):
    door.publisher.refuse = "Kafka did not acknowledge in time"
    answer = door.request(content=DOCUMENTED)
    assert (answer.status_code, answer.text) == (503, "Kafka did not acknowledge in time\n")
    assert answer.headers["retry-after"] == "5"
    assert door.count("rejected", reason="not_published") == 1
    assert door.count("accepted", hook="soc") == 0


def test_a_publisher_that_breaks_in_an_unknown_way_is_never_200(door, monkeypatch):
    async def broken(record):
        raise ZeroDivisionError

    monkeypatch.setattr(door.publisher, "publish", broken)
    with pytest.raises(ZeroDivisionError):
        door.request(content=DOCUMENTED)


def test_the_token_is_in_no_answer_log_or_metric(door, known, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    texts = []
    for content in (DOCUMENTED, b"no", object_of(MAX_BODY + 1)):
        answer = door.request(content=content)
        texts += [answer.text, str(answer.headers)]
    door.request("GET")
    door.publisher.refuse = "away"
    texts.append(door.request(content=DOCUMENTED).text)
    texts += [generate_latest(door.registry).decode(), *capsys.readouterr(), str(door.publisher.records)]
    texts += [record.getMessage() for record in caplog.records if record.name not in {"httpx", "httpcore"}]
    assert not any(known.token in text for text in texts)


@given(
    st.binary(max_size=200)
    | st.dictionaries(st.text(), st.integers(-(2**53), 2**53), max_size=3).map(orjson.dumps)
    | st.integers(MAX_BODY - 2, MAX_BODY + 2).map(object_of)
)
def test_accepted_is_exactly_an_object_within_the_cap(new_door, body):
    door = new_door()
    status = door.request(content=body).status_code
    try:
        welcome = isinstance(orjson.loads(body), dict) and len(body) <= MAX_BODY
    except orjson.JSONDecodeError:
        welcome = False
    assert status == 200 if welcome else status in {400, 413}
    assert [record.value for record in door.publisher.records] == ([body] if welcome else [])
