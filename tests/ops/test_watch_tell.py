"""Telling of a change: by Kafka where Kafka and the sink do their part, past it where not, and to nobody twice."""

import asyncio

import pytest
import structlog
from pydantic import SecretStr, ValidationError

from events.settings import KafkaSettings
from events.state_changes import told
from ops.heartbeat import Heartbeat
from ops.watch_change import Change, headers
from ops.watch_direct import Direct
from ops.watch_settings import WatchSettings
from ops.watch_tell import Teller
from sinks import rules_file
from sinks.responses import Answer

RULES = """\
targets:
  ops-chat: {type: mattermost, url: "http://127.0.0.1:9/hooks/a"}
  ops-mail: {type: webhook, url: "http://127.0.0.1:9/mail"}
rules:
  - {name: everything, match: {type: alert}, notify: ops-chat}
unmatched: drop
operators: [ops-chat, ops-mail]
"""
KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:1", _env_file=None)


class Posts(Direct):
    """Targets that take what they get, but those that are away, or refuse it for good."""

    def __init__(self, *away, refusing=()):
        super().__init__()
        self.away = set(away)
        self.refusing = refusing
        self.made = []

    async def post(self, target, event):
        if target.name in self.away:
            return "later"
        self.made.append((target.name, event.event_id))
        return "never" if target.name in self.refusing else "told"


class Told(Teller):
    """A teller whose Kafka is a list."""

    def __init__(self, posts, *, refuses=False):
        super().__init__(
            KAFKA, rules_file.parse(RULES, "tocsin.yml", {}), lambda: None, "https://d.example.org/r.md", posts
        )
        self.written = []
        self.asked = 0
        self.refuses = refuses

    async def _write(self, change):
        self.asked += 1
        if not self.refuses:
            self.written.append((change.id, tuple(change.told)))
        return not self.refuses


def change(key="late/soc", **more):
    return Change(key, raised=True, since=1.0, at=2.0, **more)


def tell(teller, untold, *, kafka=True, served=("ops-chat", "ops-mail")):
    asyncio.run(teller.tell(untold, carries=kafka, served=set(served)))


def test_what_kafka_carries_is_posted_by_nobody_else():
    posts, untold = Posts(), [change()]
    teller = Told(posts)
    tell(teller, untold)
    assert (posts.made, teller.written, untold) == ([], [(change().id, ())], [])


def test_while_kafka_is_away_all_operators_are_posted_to_once_and_the_record_follows():
    posts, untold = Posts(), [change("kafka_away")]
    teller = Told(posts)
    for _ in range(3):
        tell(teller, untold, kafka=False)
    assert [name for name, _ in posts.made] == ["ops-chat", "ops-mail"]
    assert len(untold) == 1
    tell(teller, untold)
    assert (len(posts.made), untold) == (2, [])
    assert teller.written == [(change("kafka_away").id, ("ops-chat", "ops-mail"))]


def test_a_target_whose_sink_is_gone_is_posted_to_and_the_other_is_not():
    posts, untold = Posts(), [change("room_down/sinks")]
    teller = Told(posts)
    tell(teller, untold, served=["ops-mail"])
    assert [name for name, _ in posts.made] == ["ops-chat"]
    assert teller.written == [(change("room_down/sinks").id, ("ops-chat",))]


def test_one_that_cannot_be_told_holds_no_other_up_and_is_told_by_its_sink_later():
    posts, untold = Posts("ops-chat"), [change()]
    teller = Told(posts)
    tell(teller, untold, served=["ops-mail"])
    assert (teller.written, untold) == ([(change().id, ())], [])


def test_while_no_sink_runs_it_is_tried_again_until_all_are_told():
    posts, untold = Posts("ops-mail"), [change()]
    teller = Told(posts)
    tell(teller, untold, served=[])
    assert ([name for name, _ in posts.made], teller.written) == (["ops-chat"], [])
    posts.away.clear()
    tell(teller, untold, served=[])
    assert [name for name, _ in posts.made] == ["ops-chat", "ops-mail"]
    assert teller.written == [(change().id, ("ops-chat", "ops-mail"))]


def test_who_refuses_it_is_asked_once_and_not_said_to_be_told():
    posts, untold = Posts(refusing=["ops-chat"]), [change("kafka_away")]
    teller = Told(posts)
    for _ in range(2):
        tell(teller, untold, kafka=False)
    assert [name for name, _ in posts.made] == ["ops-chat", "ops-mail"]
    tell(teller, untold, served=[])
    assert (teller.written, untold) == ([(change("kafka_away").id, ("ops-mail",))], [])  # the sink buries it


@pytest.mark.parametrize(
    ("status", "outcome", "logged"),
    [(200, "told", None), (400, "never", "operator_not_told"), (503, "later", "operator_unavailable")],
)
def test_what_a_target_answers_is_what_came_of_the_post(asked, status, outcome, logged):
    asked.answers = [Answer(status, {})]
    target = rules_file.parse(RULES, "tocsin.yml", {}).targets["ops-chat"]
    with structlog.testing.capture_logs() as logs:
        assert asyncio.run(Direct().post(target, change().event())) == outcome
    assert [each["event"] for each in logs] == [logged] * bool(logged)


def test_a_target_in_trouble_is_not_asked_to_tell_of_itself():
    posts, untold = Posts(), [change("target_unavailable/ops-chat")]
    tell(Told(posts), untold, kafka=False)
    assert [name for name, _ in posts.made] == ["ops-mail"]


def test_a_target_that_is_late_is_not_told_that_it_is():
    posts, untold = Posts(), [change("late/ops-mail"), change("late/stream")]
    tell(Told(posts), untold, kafka=False)
    assert [name for name, _ in posts.made] == ["ops-chat", "ops-chat", "ops-mail"]


def test_what_kafka_answers_and_refuses_is_posted_at_once_and_the_record_follows():
    posts, untold = Posts(), [change(), change("late/stream"), change("late/archive")]
    teller = Told(posts, refuses=True)
    for _ in range(2):
        tell(teller, untold)
        assert posts.made == [(name, each.id) for each in untold for name in ("ops-chat", "ops-mail")]
        assert (len(untold), teller.written) == (3, [])
    assert teller.asked == 2  # a cluster that refuses one is not waited for again in the same look
    teller.refuses = False
    tell(teller, untold)
    assert (untold, len(posts.made)) == ([], 6)
    assert [told for _, told in teller.written] == [("ops-chat", "ops-mail")] * 3


def test_the_record_says_what_to_do_and_whom_it_was_told():
    event = change("target_unavailable/soc", told=["ops-mail"]).event("https://d.example.org/r.md")
    assert event.links.alert == "https://d.example.org/r.md#tocsintargetunavailable"
    assert event.event.attributes["runbook"] == "docs/runbook.md#tocsintargetunavailable"
    assert event.event.attributes["target"] == "soc"
    assert (event.urgency, told(event)) == (95, ("ops-mail",))
    over = Change("late/soc", raised=False, since=1.0, at=9.0).event()
    assert (over.urgency, dict(headers(over))["urgency"]) == (None, b"80")
    assert event.links.alert
    assert over.links.alert is None


def test_a_target_that_answers_429_is_left_alone_for_as_long_as_it_asks(asked):
    clock = [0.0]
    target = rules_file.parse(RULES, "tocsin.yml", {}).targets["ops-mail"]
    direct = Direct(monotonic=lambda: clock[0])
    event = change().event()

    async def post():
        return await direct.post(target, event)

    asked.answers = [Answer(429, {"retry-after": "30"}), Answer(200, {})]
    assert asyncio.run(post()) == "later"
    clock[0] = 29.0
    assert asyncio.run(post()) == "later"
    assert len(asked.requests) == 1
    clock[0] = 31.0
    assert asyncio.run(post()) == "told"


def beats(asked, url, *, well, at=(0.0,), status=200):
    async def run():
        async with Heartbeat(SecretStr(url), 60.0) as heart:
            for now in at:
                await heart.beat(now, well=well)

    asked.answers, asked.requests = [Answer(status, {})], []
    asyncio.run(run())
    return [(request.path, request.query) for request in asked.requests]


def test_the_heart_beats_only_while_the_watch_does_its_part_and_no_faster_than_agreed(asked):
    assert (
        beats(asked, "http://127.0.0.1:9/ping/abc?x=1", well=True, at=(0.0, 30.0, 60.0)) == [("/ping/abc", "x=1")] * 2
    )
    assert beats(asked, "http://127.0.0.1:9", well=True) == [("/", "")]
    assert beats(asked, "http://127.0.0.1:9/ping", well=False, at=(0.0, 100.0)) == []
    assert beats(asked, "http://127.0.0.1:9/ping", well=True, status=500) == [("/ping", "")]


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "ftp://example.org", "https://u:s3cr3t@example.org"])
def test_the_heartbeat_goes_nowhere_inside_and_its_address_is_not_repeated(url, monkeypatch):
    monkeypatch.setenv("HEARTBEAT_URL", url)
    with pytest.raises(ValidationError) as error:
        WatchSettings(_env_file=None)
    assert url not in str(error.value)
