"""The private port: health for the orchestrator, metrics for Prometheus."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest


def create_admin(
    registry: CollectorRegistry, trouble: Callable[[], str | None], detail: Callable[[], Mapping[str, Any]]
) -> FastAPI:
    """Build the app; `trouble` says why this process cannot accept events just now, or None; `detail` says more."""
    app = FastAPI(title="tocsin ingest", openapi_url=None)

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        reason = trouble()
        if reason:
            return JSONResponse({"ready": False, "reason": reason, **detail()}, status_code=503)
        return JSONResponse({"ready": True, "reason": None, **detail()})

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app
