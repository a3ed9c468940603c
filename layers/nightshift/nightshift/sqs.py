"""Sends to SQS by its JSON protocol.

A request whose answer was lost is sent again: a message that comes twice changes nothing.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from nightshift.aws_http import endpoint_of, post


def send_message(queue_url: str, entry: Mapping[str, Any]) -> None:
    """``entry`` is MessageBody, MessageGroupId, DelaySeconds. Raises aws_http's errors."""
    _call("SendMessage", {"QueueUrl": queue_url, **entry})


def send_message_batch(queue_url: str, entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Up to ten, each with an Id; returns what SQS refused, as Id, Code and Message. Raises aws_http's errors."""
    answer = _call("SendMessageBatch", {"QueueUrl": queue_url, "Entries": entries})
    failed: list[dict[str, Any]] = answer.get("Failed") or []
    return failed


def _call(operation: str, body: Mapping[str, Any]) -> dict[str, Any]:
    endpoint = endpoint_of("SQS", host=urlsplit(body["QueueUrl"]).netloc)
    return post(
        "sqs",
        body,
        endpoint=endpoint,
        target=f"AmazonSQS.{operation}",
        content_type="application/x-amz-json-1.0",
    )
