"""The worker's handler: receives messages from the run queue, each of which names a slice that may start."""

from typing import Any

from nightshift.aws.queue import slice_in
from nightshift.base import metrics
from nightshift.base.logger import logger
from nightshift.base.settings import settings_for
from nightshift.database.queries import database
from nightshift.runs.executor import work


@logger.inject_lambda_context(clear_state=True)
@metrics.published
def handler(event: dict[str, Any], context: Any) -> None:
    for record in event["Records"]:
        if named := slice_in(record["body"]):
            work(
                *named,
                db=database(),
                settings=settings_for("worker"),
                remaining_s=lambda: context.get_remaining_time_in_millis() / 1000,
                request_id=context.aws_request_id,
            )
