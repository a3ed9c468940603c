"""Sends to SQS by its JSON protocol, without a client (nightshift.sigv4 says why).

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html
"""

import json
import os
import random
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSRequest
from botocore.exceptions import ConnectionError, HTTPClientError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from nightshift.errors import NightshiftError
from nightshift.sigv4 import signed

ATTEMPTS = 3
CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 10

# The longest pause before the second attempt (seconds); before the third it may be twice as long.
PAUSE_S = 0.2

# Where AWS answers on IPv6 too, by the end of the name that answers on IPv4 alone.
DUAL_STACK = {".amazonaws.com": ".api.aws", ".amazonaws.com.cn": ".api.amazonwebservices.com.cn"}


class SendFailed(NightshiftError):
    """SQS did not take the message"""


def send_message(queue_url: str, entry: Mapping[str, Any]) -> None:
    """``entry`` is MessageBody, MessageGroupId, DelaySeconds. Raises SendFailed, and the message may be there yet."""
    _call("SendMessage", {"QueueUrl": queue_url, **entry})


def send_message_batch(queue_url: str, entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Up to ten, each with an Id; returns what SQS refused, as Id, Code and Message. Raises SendFailed for them all."""
    answer = _call("SendMessageBatch", {"QueueUrl": queue_url, "Entries": entries})
    failed: list[dict[str, Any]] = answer.get("Failed") or []
    return failed


def endpoint_of(queue_url: str) -> str:
    """Where the request goes: to what the SDKs' variables name, else to the host that the queue's URL names."""
    configured = os.environ.get("AWS_ENDPOINT_URL_SQS") or os.environ.get("AWS_ENDPOINT_URL")
    if configured:
        return configured
    parts = urlsplit(queue_url)
    host = parts.netloc
    if os.environ.get("AWS_USE_DUALSTACK_ENDPOINT", "").lower() == "true":
        for ending, other in DUAL_STACK.items():
            if host.endswith(ending):
                host = host.removesuffix(ending) + other
    return f"{parts.scheme}://{host}"


def _call(operation: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A request whose answer was lost is sent again: a message that comes twice changes nothing."""
    endpoint = endpoint_of(body["QueueUrl"])
    request = {
        "method": "POST",
        "url": f"{endpoint.rstrip('/')}/",
        "headers": {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{operation}"},
        "data": json.dumps(body).encode(),
    }
    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer = _connections(endpoint).send(signed("sqs", AWSRequest(**request)))
            if answer.status_code == 200:
                return json.loads(answer.content)
            code, message = _error_in(answer.content)
            failure = SendFailed(f"SQS refused {operation}: {code or f'HTTP {answer.status_code}'}: {message}")
            passing = answer.status_code >= 500 or answer.status_code == 429 or "Throttl" in code
        except (ConnectionError, HTTPClientError) as exc:
            failure, passing = SendFailed(f"SQS cannot be reached: {exc}"), True
            failure.__cause__ = exc
        if not passing or attempt == ATTEMPTS:
            raise failure
        time.sleep(random.uniform(0, PAUSE_S * attempt))
    raise AssertionError("unreachable")


def _error_in(content: bytes) -> tuple[str, str]:
    """Code and message; both may be empty: what answers need not be SQS."""
    try:
        said = json.loads(content)
        return said["__type"].rpartition("#")[2], said.get("message") or said.get("Message") or "it does not say why"
    except (ValueError, TypeError, KeyError, AttributeError):
        return "", "it does not say why"


@cache
def _connections(endpoint: str) -> URLLib3Session:
    """Kept for the life of the execution environment, and set up as botocore's clients set theirs up."""
    return URLLib3Session(
        verify=os.environ.get("AWS_CA_BUNDLE") or True,
        proxies=get_environ_proxies(endpoint),
        timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
    )
