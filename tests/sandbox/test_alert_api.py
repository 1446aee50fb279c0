"""The simulated Alert API answers as the documented one does: auth, lists, error bodies, latency and failures."""

import asyncio
import time

import httpx
import pytest

from sandbox.alert_api import create_app
from sandbox.alert_gate import POWERLESS_KEY
from sandbox.faults import Faults
from sandbox.firewall import Firewall, Limits
from sandbox.quirks import Quirks
from sandbox.receivers import TeamsReceiver
from sandbox.tenant import COMMUNITY, Tenant

BEARER = {"Authorization": "Bearer simulated-tenant-key"}
GENEROUS = Limits(sustained_rate=1e6, burst=10**6, pause_errors=10**6, error_burst=10**6)


class Api:
    """A tenant's API asked in process; the clock of the tenant stands until it is moved."""

    def __init__(self, *quirks: str, limits: Limits = GENEROUS, **options) -> None:
        self.now = 1_785_312_417.0
        self.tenant = Tenant(3, clock=lambda: self.now, odd_every=0)
        self.firewall = Firewall(limits, clock=lambda: self.now)
        self.app = create_app(self.tenant, self.firewall, Quirks.parse(quirks), latency=0.0, **options)

    def raised(self, count: int = 1, **overrides) -> list[str]:
        return [self.tenant.create_alert(**overrides)["attributes"]["uuid"] for _ in range(count)]

    def get(self, path: str, headers: dict | None = None, method: str = "GET", **options) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
                return await client.request(method, path, headers=BEARER if headers is None else headers, **options)

        return asyncio.run(ask())

    def found(self, **params) -> set[str]:
        query = {f"match[{name}]": value for name, value in params.items()}
        answer = self.get("/v1/sic/alerts", params=query | {"limit": 100})
        assert answer.status_code == 200, answer.text
        return {item["uuid"] for item in answer.json()["items"]}


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_one_alert_by_either_id_with_and_without_the_api_prefix(prefix: str) -> None:
    api = Api()
    body = api.tenant.create_alert()["attributes"]
    for id_ in body.values():
        answer = api.get(f"{prefix}/v1/sic/alerts/{id_}")
        assert answer.status_code == 200
        assert answer.json()["uuid"] == body["uuid"]
    assert api.get(f"{prefix}/v1/me").json()["community_uuid"] == COMMUNITY


def test_an_unknown_alert_is_404_and_an_empty_object() -> None:
    answer = Api().get("/v1/sic/alerts/ALnobody")
    assert (answer.status_code, answer.json()) == (404, {})


def test_what_is_shown_depends_on_what_is_asked_for() -> None:
    api = Api()
    (uuid,) = api.raised()
    api.tenant.update_status(uuid, "Acknowledged")
    api.tenant.comment(uuid)
    api.tenant.create_case(uuid, title="Überfall")
    alert = api.get(f"/v1/sic/alerts/{uuid}").json()
    assert {"comments", "history", "countermeasures", "similarity_strategy"} <= set(alert)
    assert not {"custom_status", "verdict", "cases"} & set(alert)
    flags = {"comments": "False", "history": "false", "countermeasures": "0", "custom_status": "True", "cases": "true"}
    light = api.get(f"/v1/sic/alerts/{uuid}", params=flags | {"stix": "true"}).json()
    assert not {"comments", "history", "countermeasures"} & set(light)
    assert light["custom_status"]["label"] == "Acknowledged"
    assert light["cases"][0]["name"] == "Überfall"
    assert light["stix"]["type"] == "bundle"
    assert light["number_of_total_comments"] == 1
    assert "comments" in api.tenant.alerts[uuid], "the tenant's own alert is untouched"


def test_the_list_leaves_out_the_heavy_parts() -> None:
    api = Api()
    api.raised()
    item = api.get("/v1/sic/alerts").json()["items"][0]
    assert not {"comments", "history", "countermeasures", "similarity_strategy", "custom_status"} & set(item)
    assert item["number_of_total_comments"] == 0


def test_several_ids_in_one_call() -> None:
    api = Api()
    uuids = api.raised(120)
    assert api.found(uuid=",".join(uuids[:100])) == set(uuids[:100])
    assert api.found(uuid=f"{uuids[0]},unknown,{uuids[5]}") == {uuids[0], uuids[5]}
    shorts = [api.tenant.alerts[uuid]["short_id"] for uuid in uuids[:3]]
    assert api.found(short_id=",".join(shorts)) == set(uuids[:3])


def test_filters_are_or_within_a_field_and_and_between_fields() -> None:
    api = Api()
    (first,) = api.raised(source="a", target="x")
    (second,) = api.raised(source="b", target="x", assets=["one", "two"])
    (third,) = api.raised(source="c", target=None, entity=None)
    assert api.found(source="a,b") == {first, second}
    assert api.found(source="a,c", target="x") == {first}
    assert api.found(asset_uuid="two") == {second}
    assert api.found(status_name="Pending", community_uuid=COMMUNITY) == {first, second, third}
    case = api.tenant.create_case(third)["attributes"]["short_id"]
    assert api.found(case_short_id=case) == {third}
    others = api.get("/v1/sic/alerts", params={"nomatch[source]": "a,b"}).json()["items"]
    assert [item["uuid"] for item in others] == [third]


def test_ranges_and_dates() -> None:
    api = Api()
    (old,) = api.raised(urgency=10)
    api.now += 3600
    (new,) = api.raised(urgency=90)
    api.tenant.add_similar(old, 3)

    def found(**params: str) -> list[str]:
        query = {f"{name.split('__')[0]}[{name.split('__')[1]}]": value for name, value in params.items()}
        answer = api.get("/v1/sic/alerts", params=query | {"sort": "created_at", "direction": "asc"})
        assert answer.status_code == 200, answer.text
        return [item["uuid"] for item in answer.json()["items"]]

    assert found(range__urgency="80,100") == [new]
    assert found(range__similar="1,9") == [old]
    assert found(date__created_at="-30m,now") == [new]
    assert found(date__created_at="2026-07-29T08:00:00Z,2026-07-29T08:30:00+00:00") == [old]
    assert found(date__created_at=",-1h") == [old]
    assert found(date__updated_at="-5s,") == [old, new]


def test_pages_cover_everything_once_in_order() -> None:
    api = Api()
    uuids = []
    for _ in range(45):
        uuids += api.raised()
        api.now += 1
    seen: list[str] = []
    while True:
        params = {"limit": 20, "offset": len(seen), "sort": "updated_at", "direction": "asc"}
        page = api.get("/v1/sic/alerts", params=params).json()
        seen += [item["uuid"] for item in page["items"]]
        assert page["total"] == 45
        if not page["has_more"]:
            break
    assert seen == uuids
    assert [item["uuid"] for item in api.get("/v1/sic/alerts").json()["items"]] == uuids[::-1][:20], (
        "newest first, twenty"
    )


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"limit": 101}, "VA301"),
        ({"limit": 0}, "VA301"),
        ({"limit": "many"}, "VA300"),
        ({"offset": -1}, "VA300"),
        ({"sort": "colour"}, "VA300"),
        ({"direction": "up"}, "VA300"),
        ({"match[colour]": "red"}, "VA300"),
        ({"date[updated_at]": "yesterday,now"}, "VA300"),
        ({"date[updated_at]": "2026-07-29T08:00:00Z"}, "VA300"),
        ({"date[first_seen_at]": ",now"}, "VA300"),
        ({"range[urgency]": "80"}, "VA300"),
        ({"match[uuid]": ["a", "b"]}, "VA300"),
    ],
)
def test_a_query_the_vendor_would_refuse_is_refused(params: dict, code: str) -> None:
    answer = Api().get("/v1/sic/alerts", params=params)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.json()["message"]


def test_names_cases_and_comments() -> None:
    api = Api()
    (uuid,) = api.raised()
    case = api.tenant.create_case(uuid)["attributes"]
    assert api.get(f"/v1/communities/{COMMUNITY}").json()["name"]
    assert api.get("/v1/communities/other").status_code == 404
    asset = next(iter(api.tenant.assets))
    assert api.get(f"/v2/asset-management/assets/{asset}").json()["name"] == "møller-pc"
    assert api.get(f"/v1/sic/cases/{case['short_id']}").json()["uuid"] == case["uuid"]
    assert api.get("/v1/sic/cases", params={"match[alert_uuid]": uuid}).json()["total"] == 1
    assert api.get("/v1/sic/cases", params={"match[alert_uuid]": "other"}).json()["items"] == []
    path = f"/v1/sic/alerts/{uuid}/comments"
    written = api.get(path, method="POST", json={"content": "vu", "author": "tocsin"}).json()
    assert api.get(path).json() == {"items": [written], "total": 1}
    assert api.get(f"{path}/{written['uuid']}").json()["content"] == "vu"
    assert api.get(f"{path}/other").status_code == 404
    assert api.get(path, method="POST", json={"text": "vu"}).status_code == 400
    assert api.get(path, method="POST", json={"content": "vu", "author": "x" * 33}).status_code == 400


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic c2VjcmV0"}])
def test_without_the_key_nothing_is_told(headers: dict) -> None:
    api = Api()
    (uuid,) = api.raised()
    for path in (f"/v1/sic/alerts/{uuid}", "/api/v1/me", "/v1/sic/alerts"):
        answer = api.get(path, headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"message": "The token is invalid", "code": "T300"})


def test_a_key_without_permissions_reads_nothing_but_itself() -> None:
    api = Api()
    (uuid,) = api.raised()
    headers = {"Authorization": f"Bearer {POWERLESS_KEY}"}
    assert api.get("/v1/me", headers=headers).status_code == 200
    assert api.get(f"/v1/sic/alerts/{uuid}", headers=headers).status_code == 403


def test_a_blocked_client_gets_a_web_page_with_429_and_others_paths_stay_open() -> None:
    api = Api(limits=Limits(burst=2))
    assert [api.get("/v1/me").status_code for _ in range(3)] == [200, 200, 429]
    answer = api.get("/api/v1/me")
    assert answer.status_code == 429
    assert answer.headers["content-type"].startswith("text/html")
    told = api.get("/_sandbox/firewall").json()
    assert (told["requests"], told["blocks"], told["refused"]) == (3, 1, 2)
    assert told["reasons"] == {"too fast": 1}
    assert 29 < told["blocked_for"] <= 600


def test_errors_count_at_the_firewall() -> None:
    api = Api()
    api.get("/v1/sic/alerts/unknown")
    api.get("/v1/me", headers={})
    api.get("/v1/me")
    assert (api.firewall.stats.requests, api.firewall.stats.errors) == (3, 2)


def test_failures_are_ordered_in_process_and_over_http() -> None:
    faults = Faults()
    api = Api(faults=faults)
    faults.answer_with(503, times=2)
    faults.answer_with(429, retry_after=7)
    answers = [api.get("/v1/me") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [503, 503, 429, 200]
    assert answers[2].headers["retry-after"] == "7"
    assert api.get("/_sandbox/api/answer", method="POST", json={"status": 500}).status_code == 204
    assert [api.get("/v1/me").status_code for _ in range(2)] == [500, 200]
    assert api.get("/_sandbox/api/answer", method="POST", json={"status": "bad"}).status_code == 422


def test_latency_is_spent_on_every_call() -> None:
    api = Api()
    api.app = create_app(api.tenant, api.firewall, latency=0.05)
    before = time.perf_counter()
    api.get("/v1/me")
    assert time.perf_counter() - before >= 0.05


def test_quirk_batch_ignored_lists_everything() -> None:
    api = Api("batch-ignored")
    uuids = api.raised(5)
    assert api.found(uuid=",".join(uuids[:2])) == set(uuids)
    assert api.found(uuid=uuids[0]) == {uuids[0]}


def test_quirk_batch_ignored_may_look_at_the_first_only() -> None:
    api = Api("batch-ignored=first")
    uuids = api.raised(5)
    assert api.found(uuid=",".join(uuids[:2])) == {uuids[0]}


def test_quirk_batch_400_refuses_several_ids_only() -> None:
    api = Api("batch-400")
    uuids = api.raised(2)
    assert api.get("/v1/sic/alerts", params={"match[uuid]": ",".join(uuids)}).status_code == 400
    assert api.found(uuid=uuids[0]) == {uuids[0]}


def test_quirk_list_lag_hides_a_new_alert_from_the_list_only() -> None:
    api = Api("list-lag=5s")
    (uuid,) = api.raised()
    api.now += 4.9
    assert api.found(uuid=uuid) == set()
    assert api.get(f"/v1/sic/alerts/{uuid}").status_code == 200
    api.now += 0.1
    assert api.found(uuid=uuid) == {uuid}


def test_quirk_forbidden_community() -> None:
    api = Api("forbidden-community")
    assert api.get(f"/v1/communities/{COMMUNITY}").status_code == 403
    assert api.get("/v1/me").status_code == 200


def test_quirk_html_200_is_every_nth_good_answer() -> None:
    api = Api("html-200=3")
    kinds = []
    for number in range(7):
        answer = api.get("/v1/me" if number != 1 else "/v1/sic/alerts/unknown")
        kinds.append((answer.status_code, answer.headers["content-type"].split(";")[0]))
        assert int(answer.headers["content-length"]) == len(answer.content)
    web, good, bad = (200, "text/html"), (200, "application/json"), (404, "application/json")
    assert kinds == [good, bad, good, web, good, good, web]


def test_receivers_are_served_beside_the_api_and_need_no_key() -> None:
    tenant, firewall = Tenant(), Firewall(Limits(burst=0))
    api = Api()
    api.app = create_app(tenant, firewall, receivers=TeamsReceiver(), latency=0.0)
    assert api.get("/", headers={}).status_code == 200
    assert api.get("/_sandbox/teams", headers={}).json()["posts"] == []
    assert api.get("/teams/soc?sig=x", headers={}, method="POST", content=b"{}").status_code == 400
    assert firewall.stats.requests == 0, "the firewall stands before the API only"
