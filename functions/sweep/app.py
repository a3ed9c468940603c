"""Heal lost work, once a minute."""

from datetime import UTC, datetime
from typing import Any

from nightshift import metrics
from nightshift.database import database
from nightshift.log import logger
from nightshift.settings import settings
from nightshift.sweep import sweep


@logger.inject_lambda_context(clear_state=True)
@metrics.published
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    return sweep(
        now=datetime.now(UTC),
        db=database(),
        settings=settings(),
        remaining_s=lambda: context.get_remaining_time_in_millis() / 1000,
    )
