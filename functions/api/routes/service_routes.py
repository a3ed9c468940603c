"""Operations about the API itself: its health and its OpenAPI document."""

from typing import Any

from aws_lambda_powertools.event_handler import Response

from api import database_probe
from api.operations import operation
from api.request import Request
from nightshift import __version__


@operation("GET", "/v1/health", summary="Health of the service", answer="Health", errors=(), needs_token=False)
def get_health(request: Request) -> dict[str, Any]:
    database_probe.check()
    return {"status": "ok", "version": __version__}


@operation("GET", "/v1/openapi.json", summary="The OpenAPI document", needs_token=False)
def get_document(request: Request) -> Response[str]:
    from api.openapi import text

    base_path = request.path.removesuffix("/v1/openapi.json")
    return Response(status_code=200, content_type="application/json", body=text(base_path))
