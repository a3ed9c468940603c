"""The resolver, which also knows the methods that each path supports."""

import re
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver


class Resolver(APIGatewayHttpResolver):
    """Powertools' resolver, which treats an unsupported method like an unknown path. This adds each path's methods."""

    def __init__(self) -> None:
        # An HTTP API keeps the base path of a custom domain in the path: /jobs/v1/health must match /v1/health.
        super().__init__(strip_prefixes=[re.compile(r"^/.*(?=/v1/)")])
        self.methods: dict[str, set[str]] = {}

    def route(self, rule: str, method: Any, *args: Any, **kwargs: Any) -> Any:
        self.methods.setdefault(rule, set()).add(method)
        return super().route(rule, method, *args, **kwargs)

    def methods_of(self, path: str) -> list[str]:
        """Return the path's methods in the order of ``Allow``; an unknown path has none."""
        for rule, methods in self.methods.items():
            # The path may begin with a custom domain's base path.
            if re.search(re.sub(r"<\w+>", "[^/]+", rule) + "$", path):
                return sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set()))
        return []
