"""Messages that say "slice n of this run may start". Losing, repeating or delaying one only costs time."""

import json
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from nightshift.base.errors import sentence
from nightshift.base.logger import logger
from nightshift.base.settings import settings

# The longest delay that SQS supports (seconds). For longer waits the sweep sends the message, when due_at has come.
MAX_DELAY_S = 900


class Message(NamedTuple):
    """``group`` is the team (or "system"): the queue is fair between groups, so no team can starve another."""

    run_id: str
    slice: int
    group: str
    delay_s: float = 0

    @classmethod
    def of(cls, run_id: object, slice: int, team_id: object, delay_s: float = 0) -> "Message":
        """Create the message of a run's slice. A run of the system has no team."""
        return cls(str(run_id), slice, str(team_id or "system"), delay_s)

    def entry(self) -> dict[str, Any]:
        # Rounded up: a message that arrives a fraction too early would be sent again and again.
        return {
            "MessageBody": json.dumps({"run_id": self.run_id, "slice": self.slice}),
            "MessageGroupId": self.group,
            "DelaySeconds": min(MAX_DELAY_S, math.ceil(max(0, self.delay_s))),
        }


def slice_in(body: str) -> tuple[str, int] | None:
    """Return the run's id and the slice's number from a message's body, or None if it is not one of our messages."""
    match read(body, "run_id"):
        case {"run_id": str(run_id), "slice": number} if type(number) is int and 0 <= number < 2**31:
            return run_id, number
    return None


def read(body: str, key: str) -> dict[str, Any] | None:
    """Return a message's body if it has an id under ``key``, else None: such a message would be redelivered in vain."""
    try:
        message: dict[str, Any] = json.loads(body)
        # In the form that Postgres accepts: Python accepts more spellings.
        return message | {key: str(uuid.UUID(message[key]))}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        logger.error("Dropped a message in an unknown format", action="message_unknown")
        return None


def send(message: Message) -> None:
    """Send the message. Raise the errors of nightshift.aws.aws_http; the sweep then sends the message later."""
    from nightshift.aws import sqs  # imported here because many invocations send nothing

    sqs.send_message(settings().queue_url, message.entry())


def send_all(messages: Iterable[Message]) -> int:
    """Send the messages and return how many were not sent. The sweep sends those later."""
    return send_batches(settings().queue_url, [message.entry() for message in messages])


def send_batches(queue_url: str, entries: Sequence[Mapping[str, Any]]) -> int:
    """Send in batches of ten. Return how many messages were not sent. Never raise.

    A refused batch does not stop the others. But if SQS does not answer, stop: waiting for each batch would use up the
    caller's time.
    """
    if not entries:
        return 0
    from nightshift.aws import sqs  # as above
    from nightshift.aws.aws_http import AwsUnreachable

    refused = 0
    for start in range(0, len(entries), 10):
        batch = [{"Id": str(i), **entry} for i, entry in enumerate(entries[start : start + 10])]
        try:
            refused += len(sqs.send_message_batch(queue_url, batch))
        except AwsUnreachable as exc:
            left = len(entries) - start
            logger.warning(f"SQS does not answer, {left} messages were not sent: {exc}", action="send_failed")
            return refused + left
        except Exception as exc:
            logger.warning(f"Could not send {len(batch)} messages: {sentence(exc)}", action="send_failed")
            refused += len(batch)
    return refused
