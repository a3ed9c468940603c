"""Dead letters: list the messages with what each is about, and redrive them to their queues.

Redriving is harmless: a message only asks for work, and Postgres knows whether the work is still due. Messages are
redriven by receive, send and delete. SQS's own task for this (StartMessageMoveTask) runs asynchronously, reports only
approximate counts, and is missing in the local AWS.
"""

import json
import time
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from pydantic import Field

from nightshift.aws.clients import client
from nightshift.base.errors import DatabaseBusy, DatabaseGone, Refused, sentence
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.tenants import audit
from nightshift.tenants.audit import Author

# How long listed or redriven messages are hidden from other receivers (seconds).
HIDDEN_S = 30
# Without waiting, SQS queries only a subset of its servers (seconds).
RECEIVE_WAIT_S = 1
# Limits of one call, in messages and seconds: the function times out after a minute. The caller repeats while ``more``.
REDRIVE_AT_MOST = 1000
REDRIVE_BUDGET_S = 30

RUNS, MAILS, EVENTS, ALERTS, SCHEDULES = "runs", "mails", "events", "alerts", "schedules"


class Letter(NamedTuple):
    """A received message. ``group`` keeps its queue fair; ``error`` is EventBridge's, if it could not deliver."""

    body: str
    receipt: str
    group: str | None
    error: str | None


def queues_of(settings: Settings) -> list[tuple[str, str, str]]:
    """Return the name, the URL and the redrive target's URL of each dead-letter queue."""
    return [
        (RUNS, settings.dead_letters_url("run"), settings.queue_url),
        (MAILS, settings.dead_letters_url("notify"), settings.notify_queue_url),
        (EVENTS, settings.dead_letters_url("announce"), settings.announce_queue_url),
        (ALERTS, settings.dead_letters_url("deliver"), settings.deliver_queue_url),
        # Events that EventBridge could not deliver have no queue to return to.
        (SCHEDULES, settings.dead_letters_url("schedule"), ""),
    ]


def waiting_in(url: str) -> int:
    """Return the number of messages, which is approximate in SQS. Raise botocore's errors."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes: dict[str, str] = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(attributes.get(name, 0)) for name in names)


def list_dead_letters(
    *, peek: Annotated[int, Field(ge=0, le=50)] = 10, db: Database, settings: Settings
) -> dict[str, Any]:
    """Return ``{"queues": [{"queue", "waiting", "redrive", "messages": […]}]}``.

    Each message is ``{"about", "id", "status", "body", "error"}``.
    Up to ``peek`` messages of each queue are received and made visible again. A queue that cannot be read has an
    ``error`` instead of messages; the other queues are still listed.
    """
    return {"queues": [_listed(*queue, peek=peek, db=db) for queue in queues_of(settings)]}


def redrive(*, queue: str | None = None, db: Database, settings: Settings, author: Author) -> dict[str, Any]:
    """Return ``{"redriven": [{"queue", "moved", "deleted", "refused", "more", "error"}]}``. If ``more``, call again.

    Without a name, redrive every queue except that of schedules, whose messages can only be deleted. A queue that
    cannot be read has an ``error``; the other queues are still redriven. Raise Refused for an unknown name.
    """
    known = queues_of(settings)
    if queue is not None and queue not in [name for name, _, _ in known]:
        raise Refused(f"queue must be one of {', '.join(name for name, _, _ in known)}, got {queue!r}")
    deadline = time.monotonic() + REDRIVE_BUDGET_S
    chosen = [each for each in known if each[0] == queue or (queue is None and each[2])]
    redriven = [_redrive(name, url, target, deadline=deadline) for name, url, target in chosen]
    _record(redriven, db=db, author=author)
    return {"redriven": redriven}


def _record(redriven: list[dict[str, Any]], *, db: Database, author: Author) -> None:
    """Tell the audit. SQS takes part in no transaction, and dead letters can be redriven without a database."""
    try:
        db.query("ping", again_if_gone=True)
        for each in redriven:
            counts = {name: each[name] for name in ("moved", "deleted", "refused")}
            audit.record(db, author, "dead_letters.redriven", of=("queue", each["queue"]), team_id=None, **counts)
    except (DatabaseGone, DatabaseBusy) as exc:
        logger.warning(f"The audit has no entry for this redrive: {sentence(exc)}", action="audit_failed")


def _listed(name: str, url: str, target: str, *, peek: int, db: Database) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "queue": name,
        "waiting": None,
        "redrive": "sends them again" if target else "deletes them (the sweep accounts for missed slots)",
        "messages": [],
        "error": None,
    }
    try:
        shown["waiting"] = waiting_in(url)
        messages = _peek(url, at_most=peek) if shown["waiting"] and peek else []
        return shown | {"messages": _described(name, messages, db=db)}
    except Exception as exc:
        logger.warning(f"Could not read dead letters: {sentence(exc)}", action="deadletters_failed", queue=name)
        return shown | {"error": sentence(exc)}


def _redrive(name: str, url: str, target: str, *, deadline: float) -> dict[str, Any]:
    done, refused, batch, error = 0, 0, list[Letter](), None
    try:
        while done + refused < REDRIVE_AT_MOST and time.monotonic() < deadline and (batch := _receive(url)):
            sent = _send(batch, target) if target else batch
            refused += len(batch) - len(sent)
            if sent:
                done += len(sent) - _delete(sent, url)
    except Exception as exc:
        logger.warning(f"Could not redrive dead letters: {sentence(exc)}", action="redrive_failed", queue=name)
        batch, error = [], sentence(exc)
    return {
        "queue": name,
        "moved": done if target else 0,
        "deleted": 0 if target else done,
        "refused": refused,
        "more": bool(batch),
        "error": error,
    }


def _send(batch: list[Letter], target: str) -> list[Letter]:
    """Send the messages and return those that were sent. Each keeps its group, so that the queue stays fair.

    SQS may refuse a whole batch because of one message: then each message is sent on its own.
    """
    entries = []
    for number, message in enumerate(batch):
        own = {"MessageGroupId": message.group} if message.group else {}
        entries.append({"Id": str(number), "MessageBody": message.body} | own)
    try:
        answer: dict[str, list[dict[str, str]]] = client("sqs").send_message_batch(QueueUrl=target, Entries=entries)
    except Exception as exc:
        if len(batch) > 1:
            return [sent for message in batch for sent in _send([message], target)]
        logger.warning(f"Could not redrive a dead letter: {sentence(exc)}", action="redrive_failed")
        return []
    return [batch[int(entry["Id"])] for entry in answer.get("Successful", [])]


def _delete(batch: list[Letter], url: str) -> int:
    """Delete the messages and return how many could not be deleted. Redriving those a second time is harmless."""
    return len(client("sqs").delete_message_batch(QueueUrl=url, Entries=_entries(batch)).get("Failed", []))


def _receive(url: str, *, at_most: int = 10) -> list[Letter]:
    received = client("sqs").receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=at_most,
        VisibilityTimeout=HIDDEN_S,
        WaitTimeSeconds=RECEIVE_WAIT_S,
        MessageSystemAttributeNames=["MessageGroupId"],
        MessageAttributeNames=["ERROR_MESSAGE"],
    )
    return [_letter_of(message) for message in received.get("Messages", [])]


def _letter_of(message: dict[str, Any]) -> Letter:
    error = message.get("MessageAttributes", {}).get("ERROR_MESSAGE", {}).get("StringValue")
    return Letter(message["Body"], message["ReceiptHandle"], message.get("Attributes", {}).get("MessageGroupId"), error)


def _peek(url: str, *, at_most: int) -> list[Letter]:
    """Return up to ``at_most`` messages. They stay hidden until all are read, so that none is received twice."""
    seen: list[Letter] = []
    try:
        while len(seen) < at_most and (batch := _receive(url, at_most=min(10, at_most - len(seen)))):
            seen += batch
    finally:
        for start in range(0, len(seen), 10):
            entries = [{**entry, "VisibilityTimeout": 0} for entry in _entries(seen[start : start + 10])]
            client("sqs").change_message_visibility_batch(QueueUrl=url, Entries=entries)
    return seen


def _entries(batch: list[Letter]) -> list[dict[str, str]]:
    return [{"Id": str(number), "ReceiptHandle": message.receipt} for number, message in enumerate(batch)]


def _described(queue: str, messages: list[Letter], *, db: Database) -> list[dict[str, object]]:
    known = {
        RUNS: ("run", "run_id", "statuses_of_runs"),
        MAILS: ("mail", "outbox_id", "statuses_of_outbox"),
        EVENTS: ("event", "outbox_id", "statuses_of_outbox"),
        ALERTS: ("alert", "alert_id", "statuses_of_alerts"),
    }
    if queue not in known:
        return [_shown(message, about="event") for message in messages]
    about, key, query = known[queue]
    ids = [_id_in(message, key) for message in messages]
    wanted = [id_ for id_ in ids if id_]
    try:
        rows, missing = (db.query(query, again_if_gone=True, ids=wanted) if wanted else []), "gone"
    except Exception as exc:
        logger.warning(f"Could not look up statuses: {sentence(exc)}", action="deadletters_failed", queue=queue)
        rows, missing = [], "unknown"
    found: dict[str, tuple[str, str]] = {str(row["id"]): (row.get("kind", about), row["status"]) for row in rows}
    letters = []
    for message, id_ in zip(messages, ids, strict=True):
        if id_ is None:
            letters.append(_shown(message))
            continue
        kind, status = found.get(id_, (about, missing))
        letters.append(_shown(message, about=kind, id_=id_, status=status))
    return letters


def _shown(
    message: Letter, *, about: str = "unknown", id_: str | None = None, status: str | None = None
) -> dict[str, object]:
    """Return one entry of the list: with the body if the id is unknown, and with EventBridge's error, if any."""
    return {
        "about": about,
        "id": id_,
        "status": status,
        "body": None if id_ else message.body[:1000],
        "error": message.error,
    }


def _id_in(message: Letter, key: str) -> str | None:
    """Return the UUID under ``key`` of the body's JSON object, or None."""
    try:
        return str(UUID(json.loads(message.body)[key]))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
