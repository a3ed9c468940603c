"""The sweep's part of alerts: write what they have to tell, hand mails to the outbox, and send messages to deliver."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from nightshift.alerts import messages
from nightshift.aws.queue import send_batches
from nightshift.base.settings import Settings
from nightshift.database.queries import Database, Row
from nightshift.notify import outbox


def tell_of_ended(run_ids: Sequence[str], *, now: datetime, db: Database, settings: Settings) -> int:
    """Write the deliveries of these ended runs, and dispatch them. Return how many there are."""
    rows = db.query("insert_deliveries", keys=list(run_ids), now=now)
    send_due([row["alert_id"] for row in rows], now=now, db=db, settings=settings)
    return len(rows)


def tell_of_overdue(alert_ids: Sequence[str], *, now: datetime, db: Database, settings: Settings) -> int:
    """Write the deliveries of jobs that are overdue, and dispatch them. Return how many there are."""
    rows = db.query("insert_overdue", keys=list(alert_ids), now=now)
    send_due([row["alert_id"] for row in rows], now=now, db=db, settings=settings)
    return len(rows)


def send_due(alert_ids: Sequence[str], *, now: datetime, db: Database, settings: Settings) -> int:
    """Dispatch what these alerts have to send now. Return how many messages SQS refused."""
    keys = list(dict.fromkeys(alert_ids))
    if not keys:
        return 0
    db.query("end_deliveries", keys=keys, now=now)
    db.query("release_deliveries", keys=keys, now=now)
    with db.transaction():
        _hand_over(db.query("take_mail_deliveries", keys=keys, now=now), db=db, settings=settings)
    called = db.query("note_messages", keys=keys, now=now, resend_delay_s=settings.resend_delay_s)
    return send_messages([(row["id"], row["team_id"]) for row in called], settings=settings)


def send_messages(alerts: Sequence[tuple[str, str]], *, settings: Settings) -> int:
    """Send a message for each of these alerts, with its team. Never raise. Return how many messages SQS refused.

    The queue is fair between teams, like the others: many messages of one team do not delay those of others.
    """
    entries = [
        {"MessageBody": json.dumps({"alert_id": alert_id}), "MessageGroupId": team_id} for alert_id, team_id in alerts
    ]
    return send_batches(settings.deliver_queue_url, entries)


def tell_of_pauses(alert_ids: Sequence[str], *, db: Database) -> int:
    """Mail the teams of alerts that were paused because of their endpoint. Return how many."""
    with db.transaction():
        paused = [row for row in db.query("tell_of_pauses", keys=list(alert_ids)) if row["deleted_at"] is None]
        for row in paused:
            outbox.mail_team(row["team_id"], _paused(row["name"], row["paused_why"]), db=db)
    return len(paused)


def _hand_over(due: Sequence[Row], *, db: Database, settings: Settings) -> None:
    """Write the mails of these deliveries that the share of their team carries now: of each team at least the first.

    The others stay where they are, so that the outbox never holds a pile of mails that wait for their share.
    """
    room: dict[str, int] = {}
    for row in due:
        team_id, alert_id = str(row["team_id"]), str(row["alert_id"])
        recipients = [found["address"] for found in db.query("list_alert_recipients", alert_id=alert_id)]
        if settings.mails_per_team_and_hour and len(recipients) > room.get(team_id, len(recipients)):
            continue
        room[team_id] = room.get(team_id, settings.mails_per_team_and_hour - row["sent_count"]) - len(recipients)
        mail = messages.mail_of(row["kind"], row["data"], alert_name=row["name"])
        db.query(
            "hand_over_mails",
            delivery_id=str(row["id"]),
            team_id=team_id,
            recipients=recipients,
            content=asdict(mail) | {"alert_id": alert_id},
        )


def _paused(name: str, why: str) -> outbox.Alert:
    return outbox.Alert(
        subject=f"The alert {name} is paused",
        lines=[
            f'The alert "{name}" sends nothing until it is resumed.',
            f"{why}.".replace("..", "."),
            "What it had to send has failed. Mend the endpoint, send a test, and resume the alert on the team's page.",
        ],
    )
