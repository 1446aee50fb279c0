"""The public port on a real socket: whatever comes in, a right status, one line, and no more memory than that takes."""

import contextlib
import importlib.util
import re
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest import body, crowd, door
from ingest.answers import ACCEPTED

_spec = importlib.util.spec_from_file_location("served", Path(__file__).with_name("served.py"))
served = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(served)
Served, answers, post = served.Served, served.answers, served.post

EVENT = b'{"type":"alert","action":"created","attributes":{"uuid":"u"}}'
STATUSES = {200, 400, 404, 405, 408, 413, 431, 503}


@pytest.fixture(scope="module")
def running():
    with Served() as running:
        yield running


def statuses(received: bytes) -> list[int]:
    return [status for status, _ in answers(received)]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (post(EVENT), [200]),
        (post(EVENT, "expect: 100-continue"), [200]),
        (post(EVENT, "content-type: text/xml"), [200]),
        (post(EVENT, "connection: upgrade", "upgrade: websocket"), [200]),
        (post(EVENT, "connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABk"), [200]),
        (post(EVENT) * 3, [200] * 3),
        (post(b"no") + post(EVENT) + post(EVENT, path="/x"), [400, 200, 404]),
        (post(EVENT).replace(b"POST", b"PUT"), [405]),
        (post(EVENT).replace(b"POST", b"GET"), [405]),
        (post(b"").replace(b"POST", b"HEAD"), [405]),
        (post(EVENT).replace(b"HTTP/1.1", b"HTTP/1.0"), [200]),
        (post(EVENT, "transfer-encoding: chunked").replace(EVENT, b"3e\r\n" + EVENT), [400]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [400]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
        (b"\r\n\r\n\r\n", []),
        (b"POST", []),
        (post(EVENT).replace(b"content-length: 61", b"content-length: -1"), [400]),
        (post(EVENT).replace(b"content-length: 61", b"content-length: 99999999999999999999999"), [400]),
        (post(EVENT).replace(b"content-length: 61", b"content-length: 999999999"), [413]),
        (post(EVENT, "content-length: 61"), [400]),
        (post(EVENT, "x: \x00"), [400]),
        (post(EVENT, path="/hooks/\xff\xfe"), [400]),
        (post(EVENT, path="http://[::1"), [400]),
        (post(EVENT, path="*"), [404]),
        (post(EVENT, path="/" + "a" * 20_000), [404]),
    ],
)
def test_each_request_has_its_status(running, request_, expected):
    assert statuses(running.talk(request_)) == expected


def test_a_chunked_body_is_put_together(running):
    head = post(b"", "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
    pieces = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (EVENT[:10], EVENT[10:11], EVENT[11:])]
    before = len(running.publisher.bodies)
    assert statuses(running.talk(head, *pieces, b"0\r\n\r\n")) == [200]
    assert running.publisher.bodies[before:] == [EVENT]


@pytest.mark.parametrize(
    ("paused", "kept", "begun", "last"),
    [(True, True, False, False), (False, False, False, False), (False, True, True, False), (False, True, False, True)],
)
def test_the_short_way_is_for_a_sender_that_reads_and_stays(paused, kept, begun, last):
    one = object.__new__(door.Door)
    one.flow = SimpleNamespace(write_paused=paused)
    cycle = SimpleNamespace(keep_alive=kept, response_started=begun, disconnected=False)
    assert not one._reply(cycle, ACCEPTED, last=last)


def test_a_body_in_pieces_is_one_event(running):
    before = len(running.publisher.bodies)
    with running.connect() as sock:
        request = post(EVENT)
        for piece in (request[:-40], request[-40:-20], request[-20:] + request):
            sock.sendall(piece)
            time.sleep(0.05)
        sock.shutdown(socket.SHUT_WR)
        assert statuses(served.read_all(sock)) == [200, 200]
    assert running.publisher.bodies[before:] == [EVENT, EVENT]


def test_bytes_after_a_good_request_do_not_hide_its_answer(running):
    running.publisher.takes = 0.05
    try:
        assert statuses(running.talk(post(EVENT) + b"\x00garbage\r\n\r\n")) == [200]
    finally:
        running.publisher.takes = 0


def test_a_head_without_end_is_refused_at_its_bound(running):
    with running.connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nx: ")
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 100 * door.MAX_HEAD:
                sock.sendall(b"a" * 8192)
                sent += 8192
                time.sleep(0.001)
        assert sent < 20 * door.MAX_HEAD
    assert running.count("too_large") >= 1


def test_requests_nobody_waits_for_are_bounded(running):
    before = len(running.publisher.bodies)
    running.publisher.takes = 0.01
    try:
        received = running.talk(post(EVENT) * 500)
    finally:
        running.publisher.takes = 0
    assert set(statuses(received)) == {200}
    assert len(running.publisher.bodies) - before == len(statuses(received)) <= door.MAX_PIPELINED + 1


def test_slow_heads_are_dismissed_and_fast_ones_served(monkeypatch):
    monkeypatch.setattr(crowd, "HEADERS_WITHIN", 0.5)
    monkeypatch.setattr(crowd, "_SWEEP", 0.05)
    with Served() as running, running.connect() as silent, running.connect() as slow, running.connect() as idle:
        assert served.ask(idle, post(EVENT)) == 200
        slow.sendall(post(EVENT)[:20])
        assert statuses(served.read_all(slow)) == [408]
        assert served.read_all(silent) == b""
        assert served.ask(idle, post(EVENT)) == 200  # idle between requests is no crime
        assert running.count("slow") == 2


def test_one_with_requests_in_line_is_not_idle(monkeypatch):
    monkeypatch.setattr(crowd, "KEEP_ALIVE", 0.2)
    monkeypatch.setattr(crowd, "_SWEEP", 0.02)
    with Served() as running:
        running.publisher.takes = 0.6
        assert statuses(running.talk(post(EVENT) * 2)) == [200, 200]


def test_one_idle_for_long_is_closed_without_a_word_and_not_counted(monkeypatch):
    monkeypatch.setattr(crowd, "KEEP_ALIVE", 0.5)
    monkeypatch.setattr(crowd, "_SWEEP", 0.05)
    with Served() as running, running.connect() as idle, running.connect() as lively:
        assert served.ask(idle, post(EVENT)) == 200
        began = time.monotonic()
        while time.monotonic() - began < 1:
            assert served.ask(lively, post(EVENT)) == 200
            time.sleep(0.1)
        idle.settimeout(0.5)
        assert idle.recv(100) == b""
        assert sum(map(running.count, ("slow", "crowded"))) == 0


def test_a_slow_body_is_dismissed(running, monkeypatch):
    monkeypatch.setattr(body, "READ_WITHIN", 0.1)
    before = len(running.publisher.bodies)
    assert statuses(running.talk(post(EVENT)[:-20], half_close=False)) == [408]
    assert running.publisher.bodies[before:] == []


def test_when_it_is_crowded_the_longest_idle_makes_room():
    with Served(most=5) as running:
        crowd_ = [running.connect() for _ in range(5)]
        assert served.ask(crowd_[0], post(EVENT)) == 200
        late = running.connect()
        assert served.ask(late, post(EVENT)) == 200
        assert crowd_[0].recv(4096) == b""
        assert running.count("crowded") == 1
        running.publisher.takes = 1.0
        for sock in (*crowd_[1:], late):
            sock.sendall(post(EVENT))
        time.sleep(0.3)
        assert statuses(running.talk(post(EVENT))) == [503]
        for sock in (*crowd_[1:], late):
            assert served.answer(sock) == 200
        for sock in (*crowd_, late):
            sock.close()


def test_told_to_stop_it_answers_who_is_there_and_refuses_nobody_it_let_in(monkeypatch):
    with Served() as running:
        running.publisher.takes = 0.3
        busy, kept, waiting = running.connect(), running.connect(), running.connect()
        assert served.ask(kept, post(EVENT)) == 200
        busy.sendall(post(EVENT))
        time.sleep(0.1)
        running.stop()
        time.sleep(0.2)
        for sock in (kept, waiting):
            sock.sendall(post(EVENT))
        for sock in (busy, kept, waiting):
            received = served.read_all(sock)
            assert statuses(received) == [200]
            assert b"connection: close" in received
            sock.close()
        with pytest.raises(OSError, match="refused"):
            running.connect()
    assert len(running.publisher.bodies) == 4


LINE = st.sampled_from(
    [
        b"POST /hooks/s3cret-token-of-the-soc HTTP/1.1\r\n",
        b"GET / HTTP/1.0\r\n",
        b"host: x\r\n",
        b"content-length: 2\r\n",
        b"content-length: 61\r\n",
        b"transfer-encoding: chunked\r\n",
        b"connection: close\r\n",
        b"connection: upgrade\r\nupgrade: websocket\r\n",
        b"expect: 100-continue\r\n",
        b"\r\n",
        b"{}",
        b"[]",
        EVENT,
        b"0\r\n\r\n",
        b"2\r\n{}\r\n",
        post(EVENT),
        post(b"{"),
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LINE | st.binary(max_size=40), min_size=1, max_size=8))
def test_any_bytes_have_whole_answers_and_never_500(running, pieces):
    before = len(running.publisher.bodies)
    found = statuses(running.talk(b"".join(pieces)))
    assert set(found) <= STATUSES
    published = running.publisher.bodies[before:]
    assert found.count(200) <= len(published)
    for content in published:
        assert isinstance(orjson.loads(content), dict)


JSONISH = st.text(alphabet='{}[]":,0123456789.eE+-\\ntrue ', max_size=60).map(str.encode) | st.binary(max_size=60)


@settings(max_examples=100, deadline=None)
@given(JSONISH, st.binary(max_size=30), st.sampled_from(["", "content-type: text/html", "content-encoding: gzip"]))
def test_a_body_is_published_exactly_when_it_is_an_object(running, content, token, header):
    before = len(running.publisher.bodies)
    path = "/hooks/" + (served.TOKEN if header != "content-encoding: gzip" else re.sub(r"\W", "", token.hex()))
    [status] = statuses(running.talk(post(content, *filter(None, [header]), path=path)))
    try:
        welcome = isinstance(orjson.loads(content), dict)
    except orjson.JSONDecodeError:
        welcome = False
    expected = 404 if served.TOKEN not in path else 200 if welcome else 400
    assert status == expected
    assert running.publisher.bodies[before:] == ([content] if expected == 200 else [])


def test_ten_thousand_are_not_needed_to_see_that_idle_ones_cost_little(running):
    pages = 4096

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * pages

    assert statuses(running.talk(post(EVENT))) == [200]
    before = resident()
    idle = [running.connect() for _ in range(400)]
    assert statuses(running.talk(post(EVENT))) == [200]
    assert (resident() - before) / len(idle) < 40_000  # both ends of the connection are in this process
    for sock in idle:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
