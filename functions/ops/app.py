"""The operator's commands. The CLI invokes this function with IAM credentials; the API cannot reach it."""

from typing import Any

from nightshift import metrics
from nightshift.database import database
from nightshift.log import logger
from nightshift.ops.commands import answer
from nightshift.settings import settings


@logger.inject_lambda_context(clear_state=True)
@metrics.published
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return answer(event, db=database(), settings=settings())
