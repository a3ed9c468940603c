"""Deliver what an alert has to send: the queue's messages each name an alert of a team."""

from datetime import UTC, datetime
from typing import Any

from nightshift.alerts.delivering import deliver
from nightshift.aws.queue import read
from nightshift.base import metrics
from nightshift.base.logger import logger
from nightshift.base.settings import settings_for
from nightshift.database.queries import database


@logger.inject_lambda_context(clear_state=True)
@metrics.published
def handler(event: dict[str, Any], context: Any) -> None:
    for record in event["Records"]:
        if message := read(record["body"], "alert_id"):
            deliver(
                message["alert_id"],
                clock=lambda: datetime.now(UTC),
                db=database(),
                settings=settings_for("deliver"),
                remaining_s=lambda: context.get_remaining_time_in_millis() / 1000,
            )
