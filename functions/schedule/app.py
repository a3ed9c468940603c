"""Start a run of the job type that the target of an EventBridge rule names."""

from datetime import UTC, datetime
from typing import Any

from nightshift.base.logger import logger
from nightshift.base.settings import settings_for
from nightshift.database.queries import database
from nightshift.schedules.slots import fire


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, str]:
    outcome = fire(
        event["job_type"],
        time=datetime.fromisoformat(event["time"]),
        now=datetime.now(UTC),
        db=database(),
        settings=settings_for("schedule"),
    )
    return {"outcome": outcome}
