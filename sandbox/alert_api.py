"""The Alert API of the simulated tenant, behind the vendor's firewall."""

from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request, Response

from sandbox import alert_query, endpoints, messages
from sandbox import faults as orders
from sandbox import receivers as receiving
from sandbox.alert_gate import API_KEY, AlertGate
from sandbox.bodies import Json
from sandbox.faults import Faults
from sandbox.firewall import Firewall
from sandbox.quirks import Quirks
from sandbox.receivers import TeamsReceiver
from sandbox.tenant import Tenant

_SINGLE_ONLY = {"comments", "history", "countermeasures", "similarity_strategy"}


def create_app(
    tenant: Tenant,
    firewall: Firewall,
    quirks: Quirks | None = None,
    receivers: TeamsReceiver | None = None,
    taken: endpoints.Endpoints | None = None,
    *,
    api_key: str = API_KEY,
    latency: float = 0.02,
    faults: Faults | None = None,
) -> FastAPI:
    """Serve a tenant's API, and the receivers when given.

    Firewall, key, `latency` (seconds per call) and `faults` concern the API's paths only; these work with and without
    `/api` before them. /_sandbox/firewall tells what the firewall saw, /_sandbox/api/answer takes orders.
    """
    quirks, faults = quirks or Quirks(), faults or Faults()
    app = FastAPI(title="Simulated Sekoia.io", docs_url=None, redoc_url=None, openapi_url=None)
    api = _Api(tenant, quirks).router()
    app.include_router(api)
    app.include_router(api, prefix="/api")
    app.add_middleware(AlertGate, firewall=firewall, quirks=quirks, faults=faults, api_key=api_key, latency=latency)
    app.include_router(orders.routes(faults, "/_sandbox/api/answer"))
    if receivers:
        app.include_router(receiving.routes(receivers))
        taken = taken or endpoints.Endpoints()
        app.include_router(endpoints.routes(taken))
        app.include_router(messages.routes(taken))

    @app.get("/_sandbox/firewall")
    async def firewall_stats(request: Request) -> Response:
        client = request.client.host if request.client else ""
        return _json(firewall.stats.as_dict() | {"blocked_for": firewall.blocked_for(client)})

    return app


class _Api:
    """The endpoints; what they need to know of a request is its path and query."""

    def __init__(self, tenant: Tenant, quirks: Quirks) -> None:
        self._tenant = tenant
        self._quirks = quirks

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/v1/me", self.me)
        router.add_api_route("/v1/sic/alerts", self.alerts)
        router.add_api_route("/v1/sic/alerts/{id_}", self.alert)
        router.add_api_route("/v1/sic/alerts/{id_}/comments", self.comments)
        router.add_api_route("/v1/sic/alerts/{id_}/comments", self.add_comment, methods=["POST"])
        router.add_api_route("/v1/sic/alerts/{id_}/comments/{comment}", self.comment)
        router.add_api_route("/v1/sic/cases", self.cases)
        router.add_api_route("/v1/sic/cases/{id_}", self.case)
        router.add_api_route("/v1/communities/{id_}", self.community)
        router.add_api_route("/v2/asset-management/assets/{id_}", self.asset)
        router.add_api_route("/v2/inthreat/content-proposals/{id_}", self.report)
        return router

    async def me(self) -> Response:
        return _json({"type": "apikey", "name": "tocsin", "community_uuid": self._tenant.community_uuid})

    async def alerts(self, request: Request) -> Response:
        query = request.query_params
        try:
            page, total = alert_query.select(self._tenant, query, self._quirks)
        except alert_query.BadQuery as error:
            return _error(400, str(error), error.code)
        items = [self._as_listed(alert, request) for alert in page]
        has_more = int(query.get("offset", "0")) + len(items) < total
        return _json({"items": items, "total": total, "has_more": has_more})

    async def alert(self, id_: str, request: Request) -> Response:
        alert = self._tenant.alert(id_)
        if alert is None:
            return _json({}, 404)
        shown = self._shown(alert, request)
        for name in ("comments", "history", "countermeasures"):
            if not _flag(request, name, default=True):
                del shown[name]
        return _json(shown)

    async def comments(self, id_: str) -> Response:
        alert = self._tenant.alert(id_)
        if alert is None:
            return _json({}, 404)
        return _json({"items": alert["comments"], "total": len(alert["comments"])})

    async def comment(self, id_: str, comment: str) -> Response:
        alert = self._tenant.alert(id_) or {"comments": []}
        return _found(next((one for one in alert["comments"] if one["uuid"] == comment), None))

    async def add_comment(self, id_: str, request: Request) -> Response:
        alert = self._tenant.alert(id_)
        if alert is None:
            return _json({}, 404)
        try:
            wanted = orjson.loads(await request.body())
            content, author = wanted["content"], wanted.get("author")
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
            return _error(400, "content is required", "VA300")
        if not isinstance(content, str) or len(author or "") > 32:  # noqa: PLR2004
            return _error(400, "content must be text and author at most 32 characters", "VA300")
        self._tenant.comment(alert["uuid"], content, author=author)
        return _json(alert["comments"][0])

    async def cases(self, request: Request) -> Response:
        wanted = request.query_params.get("match[alert_uuid]")
        found = [case for case in self._tenant.cases.values() if wanted is None or wanted in case["alerts_uuid"]]
        return _json({"items": found[:100], "total": len(found), "has_more": len(found) > 100})  # noqa: PLR2004

    async def case(self, id_: str) -> Response:
        cases = self._tenant.cases.values()
        return _found(next((case for case in cases if id_ in {case["uuid"], case["short_id"]}), None))

    async def community(self, id_: str) -> Response:
        if self._quirks.forbidden_community:
            return _error(403, "Your permissions do not allow this", "T403")
        return _found(self._tenant.communities.get(id_))

    async def asset(self, id_: str) -> Response:
        return _found(self._tenant.assets.get(id_))

    async def report(self, id_: str) -> Response:
        return _json({"uuid": id_, "name": f"Report {id_[:8]}"})

    def _as_listed(self, alert: Json, request: Request) -> Json:
        return {name: value for name, value in self._shown(alert, request).items() if name not in _SINGLE_ONLY}

    def _shown(self, alert: Json, request: Request) -> Json:
        shown = alert | {"number_of_total_comments": len(alert["comments"])}
        shown["number_of_unseen_comments"] = sum(comment["unseen"] for comment in alert["comments"])
        if not _flag(request, "custom_status"):
            for name in ("custom_status", "verdict"):
                shown.pop(name, None)
        if _flag(request, "stix"):
            shown["stix"] = {"type": "bundle", "objects": []}
        if _flag(request, "cases"):
            shown["cases"] = [
                {"short_id": case["short_id"], "name": case["title"], "status": case["status"],
                 "manual": case["manual"], "is_supplied": False}
                for case in self._tenant.cases.values() if alert["uuid"] in case["alerts_uuid"]
            ]  # fmt: skip
        return shown


def _flag(request: Request, name: str, *, default: bool = False) -> bool:
    # `requests` sends False, httpx sends false; both are in use.
    return request.query_params.get(name, str(default)).lower() in {"true", "1"}


def _found(thing: Json | None) -> Response:
    return _json({}, 404) if thing is None else _json(thing)


def _error(status: int, message: str, code: str) -> Response:
    return _json({"message": message, "code": code}, status)


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
