"""Single AWS calls without a client, for code that runs in cold starts (nightshift.aws.sigv4 gives the reason)."""

import json
import os
import random
import socket
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from botocore.awsrequest import AWSRequest
from botocore.exceptions import ConnectionError, HTTPClientError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from nightshift.aws.sigv4 import region, signed
from nightshift.base.errors import NightshiftError, legible

# Short, so that a service that does not answer cannot make an API request or a sweep run out of time.
CONNECT_TIMEOUT_S = 2
READ_TIMEOUT_S = 5

# The longest pause before the second attempt (seconds).
PAUSE_S = 0.2

# Endings of host names: IPv4 only, and dual-stack (IPv4 and IPv6).
DUAL_STACK = {".amazonaws.com": ".api.aws", ".amazonaws.com.cn": ".api.amazonwebservices.com.cn"}


class AwsRefused(NightshiftError):
    """The service answered with an error. ``code`` is the error's name, ``said`` its message."""

    def __init__(self, service: str, code: str, said: str, *, passing: bool):
        super().__init__(f"{service} refused: {code}: {said}")
        self.code, self.said, self.passing = code, said, passing


class AwsUnreachable(NightshiftError):
    """The service did not answer. The request may have taken effect."""

    passing = True


def post(
    service: str,
    body: Mapping[str, Any],
    *,
    endpoint: str,
    path: str = "/",
    target: str = "",
    content_type: str = "application/x-amz-json-1.1",
    attempts: int = 2,
) -> dict[str, Any]:
    """Send a JSON request and return the response. ``service`` is the name in signatures, ``target`` the operation.

    ``attempts`` is 1 for calls that must not be repeated after a lost response. Raise AwsRefused, AwsUnreachable, and
    ConfigurationError if there are no credentials.
    """
    headers = {"Content-Type": content_type}
    if target:
        headers["X-Amz-Target"] = target
    content, url = json.dumps(body).encode(), endpoint.rstrip("/") + path
    attempt = 1
    while True:
        try:
            # Sign each attempt: a signature contains the time, and credentials may have been refreshed.
            return _answer(service, AWSRequest(method="POST", url=url, headers=headers, data=content), endpoint)
        except (AwsRefused, AwsUnreachable) as exc:
            if not exc.passing or attempt == attempts:
                raise
        time.sleep(random.uniform(0, PAUSE_S))
        attempt += 1


def endpoint_of(service_id: str, *, host: str) -> str:
    """Return the service's endpoint: from the variables that AWS SDKs also read, else from ``host``.

    ``service_id`` is as in those variables: SQS, SESV2, SECRETS_MANAGER.
    https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    """
    configured = os.environ.get(f"AWS_ENDPOINT_URL_{service_id}") or os.environ.get("AWS_ENDPOINT_URL")
    if configured:
        return configured
    # Secrets Manager has one host name for IPv4 and IPv6.
    if os.environ.get("AWS_USE_DUALSTACK_ENDPOINT", "").lower() == "true" and service_id != "SECRETS_MANAGER":
        for ending, other in DUAL_STACK.items():
            if host.endswith(ending):
                return f"https://{host.removesuffix(ending)}{other}"
    return f"https://{host}"


def regional_host(prefix: str) -> str:
    """``email`` → ``email.eu-central-1.amazonaws.com``."""
    here = region()
    return f"{prefix}.{here}.amazonaws.com" + (".cn" if here.startswith("cn-") else "")


def _answer(service: str, request: AWSRequest, endpoint: str) -> dict[str, Any]:
    try:
        answer = _connections(endpoint).send(signed(service, request))
    except (ConnectionError, HTTPClientError) as exc:
        raise AwsUnreachable(f"{type(exc).__name__}: {exc}") from exc
    body = _object(answer.content)
    if answer.status_code == 200:
        if body is None:
            raise AwsUnreachable(f"{service} did not answer with a JSON object")
        return body
    body = body or {}
    code = body.get("__type") or answer.headers.get("x-amzn-ErrorType") or f"HTTP {answer.status_code}"
    # com.amazonaws.sqs#QueueDoesNotExist, or BadRequestException:http://…
    code = str(code).rpartition("#")[2].partition(":")[0]
    passing = answer.status_code >= 500 or answer.status_code == 429 or "Throttl" in code
    said = body.get("message") or body.get("Message") or "no message"
    raise AwsRefused(service, legible(code), legible(said), passing=passing)


def _object(content: bytes) -> dict[str, Any] | None:
    """Return the JSON object, or None if the content is something else, for example a proxy's HTML page."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


@cache
def _connections(endpoint: str) -> URLLib3Session:
    """Return connections set up like those of botocore's clients, kept for the life of the execution environment."""
    return URLLib3Session(
        verify=os.environ.get("AWS_CA_BUNDLE") or True,
        proxies=get_environ_proxies(endpoint),
        timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
        # urllib3 sends the body after the headers. Without this option, TCP holds it back until the service has
        # acknowledged the headers, which can take 40 ms.
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )
