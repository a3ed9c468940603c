"""Single calls to AWS, signed and sent without a client, for the paths of a cold start (nightshift.sigv4 says why)."""

import json
import os
import random
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from botocore.awsrequest import AWSRequest
from botocore.exceptions import ConnectionError, HTTPClientError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from nightshift.errors import NightshiftError, legible
from nightshift.sigv4 import region, signed

# A service that accepts connections and does not answer must not cost the API its answer, or the sweep its minute.
CONNECT_TIMEOUT_S = 2
READ_TIMEOUT_S = 5

# The longest pause before the second attempt (seconds).
PAUSE_S = 0.2

# Where AWS answers on IPv6 too, by the end of the name that answers on IPv4 alone.
DUAL_STACK = {".amazonaws.com": ".api.aws", ".amazonaws.com.cn": ".api.amazonwebservices.com.cn"}


class AwsRefused(NightshiftError):
    """The service answered with an error. ``code`` is its name, ``said`` what it says."""

    def __init__(self, service: str, code: str, said: str, *, passing: bool):
        super().__init__(f"{service} refused: {code}: {said}")
        self.code, self.said, self.passing = code, said, passing


class AwsUnreachable(NightshiftError):
    """No answer came. What was asked for may have happened."""

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
    """The answer to a request in JSON. ``service`` is its name in signatures, ``target`` the operation in a header.

    ``attempts`` is 1 for calls that must not be repeated when their answer is lost. Raises AwsRefused, AwsUnreachable
    and ConfigurationError, where there are no credentials.
    """
    headers = {"Content-Type": content_type}
    if target:
        headers["X-Amz-Target"] = target
    content, url = json.dumps(body).encode(), endpoint.rstrip("/") + path
    attempt = 1
    while True:
        try:
            # Signed anew each time: a signature has a time, and credentials may have been refreshed.
            return _answer(service, AWSRequest(method="POST", url=url, headers=headers, data=content), endpoint)
        except (AwsRefused, AwsUnreachable) as exc:
            if not exc.passing or attempt == attempts:
                raise
        time.sleep(random.uniform(0, PAUSE_S))
        attempt += 1


def endpoint_of(service_id: str, *, host: str) -> str:
    """Where the service is: what the SDKs' variables name, else ``host``.

    ``service_id`` as in those variables: SQS, SESV2, SECRETS_MANAGER.
    https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    """
    configured = os.environ.get(f"AWS_ENDPOINT_URL_{service_id}") or os.environ.get("AWS_ENDPOINT_URL")
    if configured:
        return configured
    # Secrets Manager has one name, which answers on both.
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
            raise AwsUnreachable(f"{service} answered with what is no JSON object")
        return body
    body = body or {}
    code = body.get("__type") or answer.headers.get("x-amzn-ErrorType") or f"HTTP {answer.status_code}"
    # com.amazonaws.sqs#QueueDoesNotExist, or BadRequestException:http://…
    code = str(code).rpartition("#")[2].partition(":")[0]
    passing = answer.status_code >= 500 or answer.status_code == 429 or "Throttl" in code
    said = body.get("message") or body.get("Message") or "it does not say why"
    raise AwsRefused(service, legible(code), legible(said), passing=passing)


def _object(content: bytes) -> dict[str, Any] | None:
    """None for what is none: a proxy's page, say."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


@cache
def _connections(endpoint: str) -> URLLib3Session:
    """Kept for the life of the execution environment, and set up as botocore's clients set theirs up."""
    return URLLib3Session(
        verify=os.environ.get("AWS_CA_BUNDLE") or True,
        proxies=get_environ_proxies(endpoint),
        timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
    )
