"""Which targets share a budget, and what the rules file may say about it."""

import asyncio

import pytest

from events.errors import NotReady
from sinks import elsewhere, rules_file, shelf
from sinks.connections import Connections, connection, sharing
from sinks.limits import Limit

FILE = """\
targets:
  one: {type: teams, url: "https://a.example/x?sig=1", connection: owner}
  two: {type: teams, url: "https://a.example/y?sig=2", connection: owner, limits: [{posts: 10, per: 5m, reserve: 2}]}
  same: {type: slack, url: "https://a.example/s"}
  also: {type: slack, url: "https://a.example/s"}
  else: {type: slack, url: "https://a.example/t", fallback: {target: one, after: 90s}}
  chat: {type: telegram, token: "1:a", chat: "-5"}
  room: {type: telegram, token: "1:a", chat: "-6"}
  mail: {type: email, server: smtp.example.org, sender: a@b.example, to: c@d.example, username: u, password: p}
  mail2: {type: email, server: smtp.example.org, sender: a@b.example, to: c@d.example, username: u, password: p}
rules:
  - {name: r, match: all, notify: [one, two, same, also, else, chat, room, mail, mail2]}
"""


@pytest.fixture(autouse=True)
def _anywhere(monkeypatch):
    monkeypatch.setenv("SINKS_ALLOW_NETWORKS", "")


def test_who_shares_with_whom():
    targets = rules_file.parse(FILE, "tocsin.yml", {}).targets
    assert {name: sharing(target, list(targets.values())) for name, target in targets.items()} == {
        "one": ["one", "two"],
        "two": ["one", "two"],
        "same": ["same", "also"],
        "also": ["same", "also"],
        "else": ["else"],
        "chat": ["chat"],
        "room": ["room"],
        "mail": ["mail"],
        "mail2": ["mail2"],
    }
    assert "https" not in connection(targets["same"])


def test_a_shared_budget_is_one_and_as_narrow_as_its_narrowest():
    targets = rules_file.parse(FILE, "tocsin.yml", {}).targets
    connections = Connections()
    budgets = {}
    for name in ("one", "two", "else"):
        kind = shelf.find(targets[name].type)
        budgets[name] = connections.budget(targets[name], kind(targets[name].settings).limits())
    assert budgets["one"] is budgets["two"]
    assert budgets["one"].limits == (Limit(10, 300, reserve=2), Limit(2000, 86400, reserve=200))
    assert budgets["else"].limits == (Limit(1, 1),)
    assert targets["else"].fallback.target == "one"
    assert targets["else"].fallback.after.total_seconds() == 90


@pytest.mark.parametrize(
    ("was", "wrong", "said"),
    [
        (
            "target: one",
            "target: oen",
            "tocsin.yml:6:70: targets.else.fallback.target: there is no target 'oen': did you",
        ),
        ("target: one", "target: else", "targets.else.fallback.target: a target cannot stand in for itself"),
        (
            "after: 90s",
            "afetr: 90s",
            "tocsin.yml:6:75: targets.else.fallback.afetr: unknown setting: did you mean 'after'",
        ),
        ("after: 90s", "after: 0s", "targets.else.fallback.after: input should be greater than"),
        ("posts: 10", "post: 10", "tocsin.yml:3:85: targets.two.limits.0.post: unknown setting: did you mean 'posts'"),
        ("reserve: 2", "reserve: 10", "tocsin.yml:3:84: targets.two.limits.0: the reserve leaves nothing"),
        ("per: 5m", "per: soon", "tocsin.yml:3:101: targets.two.limits.0.per: "),
        ("connection: owner", "conection: owner", "targets.one.conection: unknown setting: did you mean 'connection'"),
    ],
)
def test_mistakes_are_named(was, wrong, said):
    with pytest.raises(NotReady) as raised:
        rules_file.parse(FILE.replace(was, wrong, 1), "tocsin.yml", {})
    assert said in str(raised.value)


@pytest.mark.parametrize(("members", "said"), [({}, []), ({"two": 1}, ["two"]), ({"one": 3, "two": 4}, ["one", "two"])])
def test_who_else_spends_the_budget_of_a_fallback(members, said):
    async def asked(name):
        return members.get(name, 0)

    assert asyncio.run(elsewhere.running(["one", "two"], asked)) == said


def test_workers_and_processes_divide_a_budget():
    targets = rules_file.parse(FILE, "tocsin.yml", {}).targets
    one, two = targets["one"], targets["two"]
    connections, names, own = Connections(["one", "two"]), ["one", "two"], (Limit(20, 300, reserve=4),)
    assert connections.share(one, names, 6, 12, 0.0) == 0.25, "half of one of two targets"
    budget = connections.budget(one, own)
    assert budget.room(0.0, urgent=True) == 5, "what was assigned before the budget was known counts"
    assert connections.share(two, names, 12, 12, 1.0) == 0.75
    assert budget.room(1.0, urgent=True) == 15, "a target that starts has counted what was posted before"
    assert connections.share(one, names, 12, 12, 2.0) == 1.0
    assert budget.room(301.0, urgent=True) == 15, "the other worker's posts still count"
    assert budget.room(302.0, urgent=True) == 20
    assert connections.share(one, names, 0, 12, 400.0) < 0.55
    assert budget.room(400.0, urgent=True) == 10
