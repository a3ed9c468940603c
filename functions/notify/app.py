"""Deliver the mails that the notify queue's messages name; each is a row of the outbox."""

from typing import Any

from nightshift.aws.queue import read
from nightshift.base import metrics
from nightshift.base.logger import logger
from nightshift.base.settings import settings_for
from nightshift.database.queries import database
from nightshift.notify.delivery import deliver


@logger.inject_lambda_context(clear_state=True)
@metrics.published
def handler(event: dict[str, Any], context: Any) -> None:
    for record in event["Records"]:
        if message := read(record["body"], "outbox_id"):
            deliver(
                message["outbox_id"],
                db=database(),
                settings=settings_for("notify"),
                remaining_s=lambda: context.get_remaining_time_in_millis() / 1000,
            )
