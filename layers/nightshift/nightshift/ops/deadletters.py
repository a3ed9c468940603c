"""Messages that were given up on: what each is about, and back to their queue with them.

Redriving does no harm: a message only says that something may be done, and Postgres knows whether it still has to be.
It is done by receive, send and delete. SQS has a task of its own for it (StartMessageMoveTask), which moves in its own
time, counts roughly, and is not there on the local engine.
"""

import json
import time
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from nightshift.aws import client
from nightshift.database import Database
from nightshift.errors import Refused, sentence
from nightshift.log import logger
from nightshift.settings import Settings

# How long messages that are looked at, or moved, are hidden from others (seconds).
HIDDEN_S = 30
# Without waiting only some of SQS's servers are asked (seconds).
RECEIVE_WAIT_S = 1
# One call moves at most so many, in at most so many seconds: the function has a minute. Whoever calls, calls again.
REDRIVE_AT_MOST = 1000
REDRIVE_BUDGET_S = 30

RUNS, MAILS, SCHEDULES = "runs", "mails", "schedules"


def queues_of(settings: Settings) -> list[tuple[str, str, str]]:
    """Name, URL, and the URL of the queue its messages go back to, of each dead-letter queue there is."""
    known = [
        (RUNS, settings.run_dead_letters_url, settings.queue_url),
        (MAILS, settings.notify_dead_letters_url, settings.notify_queue_url),
        # What EventBridge could not deliver has no queue to go back to.
        (SCHEDULES, settings.schedule_dead_letters_url, ""),
    ]
    return [queue for queue in known if queue[1]]


def waiting_in(url: str) -> int:
    """How many messages, about: SQS counts so. Raises botocore's errors."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(attributes.get(name, 0)) for name in names)


def list_dead_letters(
    *, peek: Annotated[int, Field(ge=0, le=50)] = 10, db: Database, settings: Settings
) -> dict[str, Any]:
    """``{"queues": [{"queue", "waiting", "redrive", "messages": [{"about", "id", "status", "body", "error"}]}]}``.

    Up to ``peek`` messages of each are looked at and put back. A queue that cannot be read has its ``error`` instead of
    messages, and hides no other.
    """
    return {"queues": [_listed(*queue, peek=peek, db=db) for queue in queues_of(settings)]}


def redrive(*, queue: str | None = None, db: Database, settings: Settings) -> dict[str, Any]:
    """``{"redriven": [{"queue", "moved", "deleted", "refused", "more", "error"}]}``; ``more``: call again.

    Without a name every queue but that of schedules, whose messages can only be deleted. A queue that cannot be read
    has an ``error``, and keeps no other back. Raises Refused for an unknown name.
    """
    known = queues_of(settings)
    if queue is not None and queue not in [name for name, _, _ in known]:
        raise Refused(f"queue must be one of {', '.join(name for name, _, _ in known)}, got {queue!r}")
    deadline = time.monotonic() + REDRIVE_BUDGET_S
    chosen = [each for each in known if each[0] == queue or (queue is None and each[2])]
    return {"redriven": [_redrive(name, url, target, deadline=deadline) for name, url, target in chosen]}


def _listed(name: str, url: str, target: str, *, peek: int, db: Database) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "queue": name,
        "waiting": None,
        "redrive": "sends them again" if target else "deletes them: the sweep accounts for missed slots",
        "messages": [],
        "error": None,
    }
    try:
        shown["waiting"] = waiting_in(url)
        messages = _peek(url, at_most=peek) if shown["waiting"] and peek else []
        return shown | {"messages": _described(name, messages, db=db)}
    except Exception as exc:
        logger.warning(f"Dead letters cannot be read: {sentence(exc)}", action="deadletters_failed", queue=name)
        return shown | {"error": sentence(exc)}


def _redrive(name: str, url: str, target: str, *, deadline: float) -> dict[str, Any]:
    done, refused, batch, error = 0, 0, list[dict[str, Any]](), None
    try:
        while done + refused < REDRIVE_AT_MOST and time.monotonic() < deadline and (batch := _receive(url)):
            sent = _send(batch, target) if target else batch
            refused += len(batch) - len(sent)
            if sent:
                done += len(sent) - _delete(sent, url)
    except Exception as exc:
        logger.warning(f"Dead letters cannot be sent again: {sentence(exc)}", action="redrive_failed", queue=name)
        batch, error = [], sentence(exc)
    return {
        "queue": name,
        "moved": done if target else 0,
        "deleted": 0 if target else done,
        "refused": refused,
        "more": bool(batch),
        "error": error,
    }


def _send(batch: list[dict[str, Any]], target: str) -> list[dict[str, Any]]:
    """The messages that were sent. A message keeps its group: the queue stays fair.

    SQS may refuse a batch for one of its messages: then each is sent alone.
    """
    entries = []
    for number, message in enumerate(batch):
        group = message.get("Attributes", {}).get("MessageGroupId")
        own = {"MessageGroupId": group} if group else {}
        entries.append({"Id": str(number), "MessageBody": message["Body"]} | own)
    try:
        answer = client("sqs").send_message_batch(QueueUrl=target, Entries=entries)
    except Exception as exc:
        if len(batch) > 1:
            return [sent for message in batch for sent in _send([message], target)]
        logger.warning(f"A dead letter cannot be sent again: {sentence(exc)}", action="redrive_failed")
        return []
    return [batch[int(entry["Id"])] for entry in answer.get("Successful", [])]


def _delete(batch: list[dict[str, Any]], url: str) -> int:
    """Returns how many stay: they come again, and are harmless twice."""
    return len(client("sqs").delete_message_batch(QueueUrl=url, Entries=_entries(batch)).get("Failed", []))


def _receive(url: str, *, at_most: int = 10) -> list[dict[str, Any]]:
    received = client("sqs").receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=at_most,
        VisibilityTimeout=HIDDEN_S,
        WaitTimeSeconds=RECEIVE_WAIT_S,
        MessageSystemAttributeNames=["MessageGroupId"],
        MessageAttributeNames=["ERROR_MESSAGE"],
    )
    messages: list[dict[str, Any]] = received.get("Messages", [])
    return messages


def _peek(url: str, *, at_most: int) -> list[dict[str, Any]]:
    """Received while they are hidden, so that none comes twice, and shown again at the end."""
    seen: list[dict[str, Any]] = []
    try:
        while len(seen) < at_most and (batch := _receive(url, at_most=min(10, at_most - len(seen)))):
            seen += batch
    finally:
        for start in range(0, len(seen), 10):
            entries = [entry | {"VisibilityTimeout": 0} for entry in _entries(seen[start : start + 10])]
            client("sqs").change_message_visibility_batch(QueueUrl=url, Entries=entries)
    return seen


def _entries(batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(batch)]


def _described(queue: str, messages: list[dict[str, Any]], *, db: Database) -> list[dict[str, Any]]:
    known = {RUNS: ("run", "run_id", "statuses_of_runs"), MAILS: ("mail", "outbox_id", "statuses_of_outbox")}
    if queue not in known:
        return [_letter(message, about="event") for message in messages]
    about, key, query = known[queue]
    ids = [_id_in(message, key) for message in messages]
    wanted = [id_ for id_ in ids if id_]
    try:
        rows, missing = db.query(query, ids=wanted) if wanted else [], "gone"
    except Exception as exc:
        logger.warning(f"Statuses cannot be looked up: {sentence(exc)}", action="deadletters_failed", queue=queue)
        rows, missing = [], "unknown"
    found = {str(row["id"]): row for row in rows}
    letters = []
    for message, id_ in zip(messages, ids, strict=True):
        if id_ is None:
            letters.append(_letter(message))
            continue
        row = found.get(id_, {"status": missing})
        letters.append(_letter(message, about=row.get("kind", about), id_=id_, status=row["status"]))
    return letters


def _letter(
    message: dict[str, Any], *, about: str = "unknown", id_: str | None = None, status: str | None = None
) -> dict[str, Any]:
    """One line of the list; the body is shown where nothing is known of it, EventBridge's reason where it gave one."""
    return {
        "about": about,
        "id": id_,
        "status": status,
        "body": None if id_ else message["Body"][:1000],
        "error": message.get("MessageAttributes", {}).get("ERROR_MESSAGE", {}).get("StringValue"),
    }


def _id_in(message: dict[str, Any], key: str) -> str | None:
    """The id under ``key`` of the body's JSON object; None where there is none that could be looked up."""
    try:
        return str(UUID(json.loads(message["Body"])[key]))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
