"""When two deliveries are one event, and which partition they meet in: the rules, case by case."""

import hashlib
from typing import Any

import orjson
import pytest

from events.identity import MAX_KEY, Identity, identify

ALERT = "5e1f0b7a-93c4-4d02-8b6e-2f7a1c9d4e30"
COMMENT = "7e6d5c4b-3a29-4817-9f06-e5d4c3b2a190"
EVENT = "d4b00001-5c6e-4f70-8a91-b2c3d4e5f607"
COMMUNITY = "c07d5b18-64fa-4f3e-9a21-7be0d3f5a961"
TIME = "2026-11-02T07:15:09.204518+00:00"


def alert(**changes: Any) -> dict[str, Any]:
    """Return the documented body with changes to its metadata."""
    metadata = {"version": 2, "created_at": TIME, "community_uuid": COMMUNITY, "permissions": []}
    return {"type": "alert", "action": "created", "attributes": {"uuid": ALERT}, "metadata": metadata | changes}


def post(body: dict[str, Any], delivery_id: str = "d-1") -> Identity:
    return identify(body, orjson.dumps(body), delivery_id)


def key(attributes: object) -> bytes:
    return post(alert() | {"attributes": attributes}).key


def test_the_documented_body_posted_twice_is_one_event() -> None:
    assert post(alert(), "d-1") == post(alert(), "d-2")
    assert post(alert()).kind == "content"


def test_a_body_without_a_time_is_a_new_event_each_time() -> None:
    body = {"type": "playbook", "action": "error"}
    assert post(body, "d-1") == Identity(key=b"d-1", event_id="d-1", kind="delivery")
    assert post(body, "d-2") == Identity(key=b"d-2", event_id="d-2", kind="delivery")


@pytest.mark.parametrize("time", [None, "", True, False, {}, {"at": TIME}, [TIME]])
def test_what_is_no_time_does_not_make_two_events_one(time: object) -> None:
    assert post(alert(created_at=time)).kind == "delivery"
    assert post(alert(created_at=time, created=TIME)).event_id == post(alert()).event_id


def test_created_and_created_at_name_the_same_time() -> None:
    old = alert(created=TIME)
    del old["metadata"]["created_at"]
    assert post(old) == post(alert())


def test_a_time_may_be_a_number() -> None:
    assert post(alert(created_at=1793603709)).kind == "content"


def test_only_what_tells_events_apart_is_hashed() -> None:
    same = alert(permissions=["x"], avatar_uuid="y", version=3) | {"extra": 1}
    assert post(same) == post(alert())


@pytest.mark.parametrize(
    "other",
    [
        alert() | {"type": "case"},
        alert() | {"action": "updated"},
        alert() | {"attributes": {"uuid": ALERT, "updated": {"similar": 2}}},
        alert(created_at="2026-11-02T07:15:09.204519+00:00"),
        alert(community_uuid=COMMENT),
        alert(community_uuid=None),
    ],
)
def test_each_of_them_makes_another_event(other: dict[str, Any]) -> None:
    assert post(other).event_id != post(alert()).event_id


def test_the_vendors_event_uuid_is_the_id_under_its_community() -> None:
    rich = post(alert(uuid=EVENT))
    assert (rich.event_id, rich.kind) == (f"{COMMUNITY}/{EVENT}", "vendor")
    assert post(alert(uuid=EVENT, created_at=None)) == rich
    assert post(alert(uuid=EVENT, community_uuid=COMMENT)).event_id == f"{COMMENT}/{EVENT}"
    assert post(alert(uuid=EVENT, community_uuid=7)).event_id == f"/{EVENT}"


@pytest.mark.parametrize("written", [EVENT, EVENT.upper(), EVENT.replace("-", "")])
def test_a_uuid_is_the_same_however_it_is_written(written: str) -> None:
    assert post(alert(uuid=written)).event_id == f"{COMMUNITY}/{EVENT}"


@pytest.mark.parametrize(
    "written",
    [
        "",
        "AL123",
        7,
        None,
        [EVENT],
        f" {EVENT}",
        f"{EVENT}\n",
        f"{EVENT}0",
        "1_2_3_4_5_6_7_8_1_2_3_4_5_6_7_8_",
        "0x000000000000000000000000000001",
        "\uff11" * 32,
        "00000000-0000-0000-0000-000000000000",  # a placeholder would make every event the same one
    ],
)
def test_what_is_no_uuid_is_no_event_id(written: object) -> None:
    assert post(alert(uuid=written)) == post(alert())


@pytest.mark.parametrize("community", ["c" * 300, "\U0001f6a8" * 60, "a/b/" * 90])
def test_a_strange_community_never_hides_the_vendors_uuid(community: str) -> None:
    one, other = post(alert(uuid=EVENT, community_uuid=community)), post(alert(uuid=COMMENT, community_uuid=community))
    assert one.event_id != other.event_id
    assert one.event_id.endswith(f"/{EVENT}")
    assert len(one.event_id.encode()) <= MAX_KEY
    assert one.event_id != post(alert(uuid=EVENT, community_uuid=f"{community}x")).event_id


def test_everything_about_one_alert_shares_a_key() -> None:
    comment = {"uuid": COMMENT, "alert_uuid": ALERT}
    assert key({"uuid": ALERT}) == key(comment) == ALERT.encode()


@pytest.mark.parametrize("alert_uuid", [None, "", 7, {}])
def test_without_an_alert_the_objects_own_uuid_is_the_key(alert_uuid: object) -> None:
    assert key({"uuid": COMMENT, "alert_uuid": alert_uuid}) == COMMENT.encode()


@pytest.mark.parametrize("attributes", [None, {}, [], "x", {"uuid": None}, {"uuid": 7}])
def test_without_any_uuid_the_event_id_is_the_key(attributes: object) -> None:
    identity = post(alert() | {"attributes": attributes})
    assert identity.key == identity.event_id.encode()


def test_a_long_key_is_hashed() -> None:
    assert key({"uuid": "k" * MAX_KEY}) == b"k" * MAX_KEY
    assert key({"uuid": "k" * (MAX_KEY + 1)}) == hashlib.sha256(b"k" * (MAX_KEY + 1)).hexdigest().encode()
    assert len(key({"uuid": "\u00e9" * 101})) == 64


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (2**53, 2**53 + 1),
        (-(2**53), -(2**53) - 1),
        (2**63, 2**63 + 1),
        (2**64, 2**64 + 1),  # beyond 64 bits a JSON reader makes both the same float
        (10**40, 10**40 + 1),
    ],
)
def test_integers_no_float_can_hold_still_tell_events_apart(one: int, other: int) -> None:
    def posted(number: int) -> Identity:
        raw = orjson.dumps(alert() | {"attributes": {"n": "N"}}).replace(b'"N"', str(number).encode())
        return identify(orjson.loads(raw), raw, "d-1")

    assert posted(one).event_id != posted(other).event_id
    assert posted(one) == posted(one)
    assert posted(one).kind == "content"


def test_deep_nesting_is_an_event_too() -> None:
    raw = orjson.dumps(alert()).replace(b'"uuid"', b'"deep":' + b"[" * 1000 + b"]" * 1000 + b',"uuid"')
    assert identify(orjson.loads(raw), raw, "d-1").kind == "content"
