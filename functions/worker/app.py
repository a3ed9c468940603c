"""Takes messages from the run queue: each names a slice that may start."""

import json
from typing import Any

from nightshift import metrics
from nightshift.database import database
from nightshift.engine import work
from nightshift.log import logger
from nightshift.settings import settings


@logger.inject_lambda_context(clear_state=True)
@metrics.published
def handler(event: dict[str, Any], context: Any) -> None:
    for record in event["Records"]:
        message = json.loads(record["body"])
        work(
            message["run_id"],
            message["slice"],
            db=database(),
            settings=settings(),
            remaining_s=lambda: context.get_remaining_time_in_millis() / 1000,
            request_id=context.aws_request_id,
        )
