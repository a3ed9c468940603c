"""Put the events that the announce queue's messages name on the bus; each is a row of the outbox."""

from typing import Any

from nightshift.aws.queue import read
from nightshift.base import metrics
from nightshift.base.logger import logger
from nightshift.base.settings import settings_for
from nightshift.database.queries import database
from nightshift.notify.announcement import announce


@logger.inject_lambda_context(clear_state=True)
@metrics.published
def handler(event: dict[str, Any], context: Any) -> dict[str, list[dict[str, str]]]:
    """Return the messages that SQS has to deliver again (ReportBatchItemFailures)."""
    named = {record["messageId"]: read(record["body"], "outbox_id") for record in event["Records"]}
    outbox_ids = {message_id: message["outbox_id"] for message_id, message in named.items() if message}
    failed = announce(
        list(outbox_ids.values()),
        db=database(),
        settings=settings_for("announce"),
        remaining_s=lambda: context.get_remaining_time_in_millis() / 1000,
    )
    return {
        "batchItemFailures": [
            {"itemIdentifier": message_id} for message_id, outbox_id in outbox_ids.items() if outbox_id in failed
        ]
    }
