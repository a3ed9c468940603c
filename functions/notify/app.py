"""Deliver the mails that the queue's messages name, each a row of the outbox, and hear what SES tells of mails."""

from typing import Any

from nightshift.aws.queue import read
from nightshift.base import metrics
from nightshift.base.logger import logger
from nightshift.base.settings import settings_for
from nightshift.database.queries import database
from nightshift.notify import mail_stops
from nightshift.notify.code_mail import deliver_code
from nightshift.notify.delivery import deliver


@logger.inject_lambda_context(clear_state=True)
@metrics.published
def handler(event: dict[str, Any], context: Any) -> None:
    for record in event["Records"]:
        if told := mail_stops.told_by(record["body"]):
            mail_stops.stop(told, db=database())
        elif "sign_in_id" in record["body"] and (asked := read(record["body"], "sign_in_id")):
            deliver_code(asked["sign_in_id"], db=database(), settings=settings_for("notify"))
        elif message := read(record["body"], "outbox_id"):
            deliver(
                message["outbox_id"],
                db=database(),
                settings=settings_for("notify"),
                remaining_s=lambda: context.get_remaining_time_in_millis() / 1000,
            )
