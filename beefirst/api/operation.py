"""Figures for whoever operates the service."""

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from beefirst.api.services import Services

router = APIRouter(tags=["operation"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text"}},
)
async def metrics(request: Request) -> Response:
    """Return requests, their latency and what was shed by route, sweeps, overdue claims, differences of the schema."""
    return Response(Services.of(request).metrics.render(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
