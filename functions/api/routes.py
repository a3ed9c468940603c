"""The resolver, which also knows the methods that each path takes."""

import re
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver


class Resolver(APIGatewayHttpResolver):
    """Powertools' resolver takes another method of a path for a path that is not there."""

    def __init__(self) -> None:
        # An HTTP API leaves the base path of a custom domain in the path: /jobs/v1/health is the route /v1/health.
        super().__init__(strip_prefixes=[re.compile(r"^/.*(?=/v1/)")])
        self.methods: dict[str, set[str]] = {}

    def route(self, rule: str, method: Any, *args: Any, **kwargs: Any) -> Any:
        self.methods.setdefault(rule, set()).add(method)
        return super().route(rule, method, *args, **kwargs)

    def methods_of(self, path: str) -> list[str]:
        """The methods that the path takes, in the order of ``Allow``; none where no route is of this path."""
        for rule, methods in self.methods.items():
            # A custom domain's base path may stand before it.
            if re.search(re.sub(r"<\w+>", "[^/]+", rule) + "$", path):
                return sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set()))
        return []
