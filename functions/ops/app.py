"""The operator's commands. The CLI invokes this function with IAM credentials; the API cannot reach it."""

from typing import Any

from nightshift.base import metrics
from nightshift.base.logger import logger
from nightshift.base.settings import settings_for
from nightshift.database.queries import database
from nightshift.operator.commands import answer


@logger.inject_lambda_context(clear_state=True)
@metrics.published
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return answer(event, db=database(), settings=settings_for("ops"))
