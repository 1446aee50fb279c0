"""The simulated tenant keeps its alerts consistent with the webhooks it posts about them."""

import random

import orjson
import pytest

from events.codec import decode_webhook
from events.errors import NotReady
from events.identity import identify
from sandbox import sample_alerts
from sandbox.quirks import KNOWN, Quirks
from sandbox.tenant import COMMUNITY, Tenant
from sandbox.traffic import Traffic

NOW = 1_785_312_417.25
DOCUMENTED = {"version", "created_at", "community_uuid", "avatar_uuid", "user_uuid", "permissions"}


def tenant(**options) -> Tenant:
    return Tenant(3, **{"clock": lambda: NOW, "odd_every": 0} | options)


def raised(one: Tenant, **overrides) -> str:
    return one.create_alert(**overrides)["attributes"]["uuid"]


def everything(one: Tenant) -> list[dict]:
    """Return one body of each sort."""
    alert = raised(one)
    case = one.create_case(alert)
    bodies = [
        one.create_alert(),
        one.update_status(alert, "Acknowledged"),
        one.add_similar(alert, 4),
        one.change_urgency(alert, 81),
        one.comment(alert, "écrit"),
        case,
        one.update_case(case["attributes"]["uuid"], tags=["a"]),
        one.move_alerts(case["attributes"]["uuid"], removed=(alert,)),
        one.content_proposal(),
        one.unknown_type(),
        one.delete(alert),
    ]
    return [*bodies, one.without_event_time()]


def test_bodies_hold_the_documented_fields_only() -> None:
    *timed, timeless = everything(tenant())
    assert all(set(body) == {"type", "action", "attributes", "metadata"} for body in timed)
    assert all(set(body["metadata"]) == DOCUMENTED for body in timed)
    alerts = [body for body in timed if body["type"] == "alert"]
    assert all(set(body["attributes"]) == {"uuid", "short_id"} for body in alerts)
    assert [body["action"] for body in alerts] == ["created", "updated", "updated", "updated", "deleted"]
    assert "metadata" not in timeless


def test_rich_bodies_add_what_the_live_stream_is_known_to_carry() -> None:
    created, status, similar, urgency, comment, case, edited, moved, *_ = everything(tenant(rich=True))
    assert {"rule_name", "urgency_current_value", "similar"} <= set(created["attributes"])
    assert created["metadata"]["uuid"] != status["metadata"]["uuid"]
    assert status["attributes"]["updated"]["status"] == sample_alerts.STATUSES["Acknowledged"][0]
    assert similar["attributes"]["updated"] == {"similar": 4}
    assert urgency["attributes"]["updated"] == {"dynamic_urgency_value": 81}
    assert comment["attributes"]["content"] == "écrit"
    assert comment["attributes"]["alert_uuid"] != comment["attributes"]["uuid"]
    assert not case["attributes"]["created_at"].endswith("+00:00")
    assert edited["attributes"]["updated"] == {"tags": ["a"]}
    assert moved["attributes"]["updated"]["deleted_alerts_uuid"] == [comment["attributes"]["alert_uuid"]]


@pytest.mark.parametrize("rich", [False, True])
def test_every_body_is_an_event_of_its_own_to_the_contract(rich: bool) -> None:
    one = tenant(rich=rich)
    bodies = [body for _ in range(20) for body in everything(one)]
    raws = [orjson.dumps(body) for body in bodies]
    ids = [identify(body, raw, str(n)).event_id for n, (body, raw) in enumerate(zip(bodies, raws, strict=True))]
    assert len(set(ids)) == len(ids), "the clock stood still, and still no two may be equal"
    assert all(decode_webhook(raw)[0].type for raw in raws)


def test_the_same_seed_tells_the_same_story_and_another_one_does_not() -> None:
    def story(seed: int) -> list[dict]:
        return everything(Tenant(seed, clock=lambda: NOW))

    assert story(5) == story(5)
    assert story(5)[0]["attributes"] != story(6)[0]["attributes"]


def test_rich_changes_the_bodies_but_not_the_alerts() -> None:
    assert list(tenant().alerts) == list(tenant(rich=True).alerts)
    plain, rich = tenant(), tenant(rich=True)
    assert [raised(plain) for _ in range(9)] == [raised(rich) for _ in range(9)]


def test_an_alert_has_the_shape_of_the_single_get() -> None:
    one = tenant()
    body = one.create_alert(urgency=64, entity={"name": "Elsewhere"}, target=None)
    alert = one.alert(body["attributes"]["short_id"])
    assert alert is one.alert(body["attributes"]["uuid"])
    assert alert["community_uuid"] == COMMUNITY
    assert (alert["created_at"], alert["updated_at"]) == (int(NOW), int(NOW))
    assert alert["first_seen_at"].startswith("2026-07-29T")
    assert alert["urgency"]["current_value"] == 64
    assert alert["urgency"]["display"] == "Major"
    assert alert["entity"]["name"] == "Elsewhere"
    assert alert["entity"]["uuid"], "an override is merged into an object"
    assert (alert["target"], alert["similar"], alert["status"]["name"]) == (None, 0, "Pending")
    assert set(alert["rule"]) == {"uuid", "name", "description", "severity", "type", "pattern"}


def test_changes_show_in_the_alert() -> None:
    now = [NOW]
    one = tenant(clock=lambda: now[0])
    uuid = raised(one)
    now[0] += 90
    one.update_status(uuid, "Acknowledged")
    one.add_similar(uuid, 3)
    one.add_similar(uuid, 4)
    one.change_urgency(uuid, 99)
    one.comment(uuid, "first")
    one.comment(uuid, "second")
    alert = one.alert(uuid)
    assert alert["status"]["name"] == "Acknowledged"
    assert alert["time_to_acknowledge"] == 90
    assert alert["similar"] == 7
    assert alert["urgency"]["current_value"] == 99
    assert [comment["content"] for comment in alert["comments"]] == ["second", "first"]
    assert alert["updated_at"] == int(NOW) + 90
    assert [entry["entry_type"] for entry in alert["history"]] == ["comment", "comment", "urgency", "alert", "alert"]


def test_a_status_of_the_communitys_own_is_a_custom_status() -> None:
    one = tenant()
    uuid = raised(one)
    one.update_status(uuid, "Waiting ☕")
    alert = one.alert(uuid)
    assert alert["custom_status"]["label"] == "Waiting ☕"
    assert alert["custom_status"]["stage"] == "In progress"
    assert alert["status"]["name"] == "Ongoing"


def test_a_deleted_alert_is_gone_by_either_id() -> None:
    one = tenant()
    body = one.create_alert()
    one.delete(body["attributes"]["uuid"])
    assert one.alert(body["attributes"]["uuid"]) is None
    assert one.alert(body["attributes"]["short_id"]) is None
    with pytest.raises(KeyError):
        one.comment(body["attributes"]["uuid"], "too late")


def test_the_oldest_are_forgotten_when_there_is_a_bound() -> None:
    one = tenant(keep=3)
    uuids = [raised(one) for _ in range(5)]
    assert list(one.alerts) == uuids[2:]
    assert set(one.created) == set(uuids[2:])
    assert one.alert(uuids[0]) is None


@pytest.mark.parametrize("oddity", sorted(sample_alerts.ODDITIES))
def test_odd_alerts_are_what_they_say_and_can_be_sent(oddity: str) -> None:
    one = tenant(rich=True)
    body = one.create_alert(oddity=oddity)
    alert = one.alert(body["attributes"]["uuid"])
    assert all(alert[name] == value for name, value in sample_alerts.ODDITIES[oddity].items())
    assert decode_webhook(orjson.dumps(body))[0].alert_uuid == alert["uuid"]


def test_odd_alerts_come_up_by_themselves() -> None:
    one = tenant(odd_every=4)
    texts = [one.alert(raised(one))["title"] for _ in range(60)]
    assert any("<script>" in text or "**" in text or "\u202e" in text or "<at>" in text for text in texts)
    assert len(sample_alerts.ODDITIES["huge"]["details"].encode()) > 100_000


def test_traffic_begins_with_an_alert_and_mixes_everything() -> None:
    traffic = Traffic(tenant(), 2, duplicates=0.2)
    deliveries = [traffic.next() for _ in range(1500)]
    assert deliveries[0].kind == "created"
    kinds = {delivery.kind for delivery in deliveries}
    assert {"created", "similar", "status", "comment", "urgency", "case", "unknown", "timeless", "deleted"} <= kinds
    seen: set[bytes] = set()
    for delivery in deliveries:
        assert delivery.duplicate == (delivery.body in seen), "a repetition is said to be one, and nothing else is"
        seen.add(delivery.body)
    assert 0.1 < sum(delivery.duplicate for delivery in deliveries) / 1500 < 0.3


def test_traffic_repeats_itself_for_a_seed() -> None:
    def run() -> list[bytes]:
        traffic = Traffic(tenant(), 9)
        return [traffic.next().body for _ in range(200)]

    assert run() == run()


def test_traffic_outlives_a_tenant_that_forgets() -> None:
    one = tenant(keep=5)
    traffic = Traffic(one, 4)
    assert len([traffic.next() for _ in range(500)]) == 500
    assert len(one.alerts) <= 5


def test_drawn_ids_are_uuids_of_the_random_kind() -> None:
    assert sample_alerts.draw_uuid(random.Random(1))[14] == "4"


def test_quirks_are_read() -> None:
    read = Quirks.parse(
        ["batch-ignored", "batch-400", "list-lag=5s", "forbidden-community", "html-200", "accept-and-drop"]
    )
    assert read == Quirks(
        "all", batch_400=True, list_lag=5.0, forbidden_community=True, html_200=5, accept_and_drop=True
    )
    assert Quirks.parse([]) == Quirks()
    assert Quirks.parse(["list-lag=250ms", "html-200=3", "batch-ignored=first"]) == Quirks(
        "first", list_lag=0.25, html_200=3
    )


def test_every_quirk_that_is_listed_can_be_switched_on() -> None:
    assert all(Quirks.parse([text]) != Quirks() for text in KNOWN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "batch",
        "batch-400=1",
        "list-lag=soon",
        "html-200=0",
        "html-200=x",
        "html-200=²",
        "batch-ignored=2",
    ],
)
def test_an_unknown_quirk_is_answered_with_the_known_ones(text: str) -> None:
    with pytest.raises(NotReady) as caught:
        Quirks.parse([text])
    assert "list-lag=5s" in str(caught.value)
