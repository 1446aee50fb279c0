"""The private port: health for the orchestrator, metrics for Prometheus."""

from collections.abc import Callable

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


def create_admin(trouble: Callable[[], str | None]) -> FastAPI:
    """Build the app; `trouble` says why nothing new can come in just now, or None."""
    app = FastAPI(title="tocsin inbox", openapi_url=None)

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        reason = trouble()
        return JSONResponse({"ready": reason is None, "reason": reason}, status_code=503 if reason else 200)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app
