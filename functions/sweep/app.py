"""Heal lost work, once a minute."""

from datetime import UTC, datetime
from typing import Any

from nightshift.base import metrics
from nightshift.base.logger import logger
from nightshift.base.settings import settings_for
from nightshift.database.queries import database
from nightshift.healing.sweep import sweep


@logger.inject_lambda_context(clear_state=True)
@metrics.published
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    return sweep(
        now=datetime.now(UTC),
        db=database(),
        settings=settings_for("sweep"),
        remaining_s=lambda: context.get_remaining_time_in_millis() / 1000,
    )
