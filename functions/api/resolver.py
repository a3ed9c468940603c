"""The resolver: finds the operation of a request, calls its handler, and knows the methods that each path supports."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response

from api.operations import Operation
from api.request import Request


class Resolver(APIGatewayHttpResolver):
    """Powertools' resolver, which treats an unsupported method like an unknown path. This adds each path's methods."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        # An HTTP API keeps the base path of a custom domain in the path: /jobs/v1/health must match /v1/health.
        super().__init__(strip_prefixes=[re.compile(r"^/.*(?=/v1/)")])
        self.methods: dict[str, set[str]] = {}
        for operation in operations:
            self.methods.setdefault(operation.path, set()).add(operation.method)
            # Powertools writes a path's ids in angle brackets.
            rule = operation.path.replace("{", "<").replace("}", ">")
            self.route(rule, operation.method)(self._calling(operation))

    def methods_of(self, path: str) -> list[str]:
        """Return the path's methods in the order of ``Allow``; an unknown path has none."""
        for known, methods in self.methods.items():
            # The path may begin with a custom domain's base path.
            if re.search(re.sub(r"{\w+}", "[^/]+", known) + "$", path):
                return sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set()))
        return []

    def _calling(self, operation: Operation) -> Callable[..., Any]:
        def call(**ids: str) -> Any:
            request = Request(self.current_event, request_id=self.lambda_context.aws_request_id)
            answer = operation.handler(request, **ids)
            return answer if isinstance(answer, Response) else (answer, operation.status)

        return call
