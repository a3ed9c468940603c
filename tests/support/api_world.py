"""The HTTP API through its function's handler. Every answer is compared with the OpenAPI document."""

import json
import re
from types import SimpleNamespace
from urllib.parse import urlencode

import jsonschema

from api import openapi
from tests.support.fixtures import load_function

DOCUMENT = openapi.document()


class Api:
    """A client that sends HTTP API events (payload 2.0) to the handler and returns ``(status, body)``."""

    def __init__(self, authorization=None):
        self.authorization = authorization
        self.handler = load_function("api").handler

    def __call__(
        self, method, path, body=None, *, headers=(), authorization=..., raw=None, base64_encoded=False, **query
    ):
        answer = self.send(
            method,
            path,
            json.dumps(body) if body is not None else raw,
            headers=headers,
            authorization=authorization,
            base64_encoded=base64_encoded,
            **query,
        )
        assert answer["headers"]["Content-Type"] == "application/json"
        status, body = answer["statusCode"], json.loads(answer["body"])
        assert status != 500, body
        assert_documented(method, path, status, body)
        return status, body

    def send(
        self,
        method,
        path,
        text=None,
        *,
        headers=(),
        authorization=...,
        base64_encoded=False,
        source="127.0.0.1",
        cookies=(),
        **query,
    ):
        """Return the answer as API Gateway receives it. API Gateway moves cookies out of the headers."""
        authorization = self.authorization if authorization is ... else authorization
        headers = dict(headers) | ({"authorization": authorization} if authorization is not None else {})
        event = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": urlencode(query, errors="surrogatepass"),
            "headers": headers,
            "queryStringParameters": query or None,
            "requestContext": {
                "http": {"method": method, "path": path, "sourceIp": source},
                "requestId": "r1",
                "stage": "$default",
            },
            "isBase64Encoded": base64_encoded,
        }
        if cookies:
            event["cookies"] = list(cookies)
        if text is not None:
            event["body"] = text
        context = SimpleNamespace(
            function_name="api", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="request-1"
        )
        return self.handler(event, context)


def assert_documented(method, path, status, body):
    """Assert that the OpenAPI document describes the answer's status and shape."""
    for documented, methods in DOCUMENT["paths"].items():
        pattern = re.sub(r"{\w+}", "[^/]+", documented)
        if method.lower() in methods and re.fullmatch(f"(/.*)?{pattern}", path):
            break
    else:
        assert status in (200, 404, 405)
        return
    expected = methods[method.lower()]["responses"].get(str(status))
    assert expected, f"{method} {path} answered {status}, which is not documented"
    schema = expected["content"]["application/json"]["schema"] | {"components": DOCUMENT["components"]}
    jsonschema.validate(body, schema, format_checker=jsonschema.FormatChecker())
