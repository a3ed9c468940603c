"""The throttle of the HTTP API: each route has a bucket of tokens, and a request takes one.

A bucket holds as many tokens as the route's burst limit, and its rate limit says how many are added in a second.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
"""

import json
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from ministack.services import apigateway

TOO_MANY = {"message": "Too Many Requests"}


class Throttle:
    """Buckets that are full at the first request. ``clock`` returns seconds."""

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._buckets: dict[Hashable, tuple[float, float]] = {}

    def admits(self, route: Hashable, limits: Mapping[str, float]) -> bool:
        """Take a token from the route's bucket, and return whether it had one. Without limits, admit every request."""
        if not limits:
            return True
        now, burst = self._clock(), limits["throttlingBurstLimit"]
        tokens, filled_at = self._buckets.get(route, (burst, now))
        tokens = min(burst, tokens + (now - filled_at) * limits["throttlingRateLimit"])
        is_admitted = tokens >= 1
        self._buckets[route] = (tokens - is_admitted, now)
        return is_admitted


def throttle_the_api(clock: Callable[[], float]) -> None:
    """Apply the limits of the stage's routes, as the HTTP API does. ministack only keeps them."""
    handle, throttle = apigateway._handle_execute_in_scope, Throttle(clock)

    async def handle_or_refuse(api_id: str, stage: str, path: str, method: str, *arguments: Any) -> Any:
        route = (apigateway._match_route(api_id, method, f"/{path.lstrip('/')}") or {}).get("routeKey")
        kept = apigateway._stages.get(api_id, {}).get(stage, {})
        settings = kept.get("defaultRouteSettings", {}) | kept.get("routeSettings", {}).get(route, {})
        # CloudFormation's names begin with a capital letter, those of the API's own calls with a small one.
        limits = {name: value for key, value in settings.items() if "throttling" in (name := key[0].lower() + key[1:])}
        if throttle.admits((api_id, stage, route), limits):
            return await handle(api_id, stage, path, method, *arguments)
        return 429, {"Content-Type": "application/json"}, json.dumps(TOO_MANY).encode()

    apigateway._handle_execute_in_scope = handle_or_refuse
