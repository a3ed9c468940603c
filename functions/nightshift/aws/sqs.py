"""Send messages to SQS with its JSON protocol.

If the response is lost, the request is repeated: a duplicate message has no effect.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from nightshift.aws.aws_http import endpoint_of, post


def send_message(queue_url: str, entry: Mapping[str, Any]) -> None:
    """Send one message. ``entry`` holds MessageBody, MessageGroupId, DelaySeconds. Raise aws_http's errors."""
    _call("SendMessage", {"QueueUrl": queue_url, **entry})


def send_message_batch(queue_url: str, entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Send up to ten messages, each with an Id. Return the refused ones: Id, Code, Message. Raise aws_http's errors."""
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
