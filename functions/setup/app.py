"""Create teams and keys as the schema owner. The CLI invokes this function with IAM credentials."""

from typing import Any

from nightshift.database import database
from nightshift.log import logger
from nightshift.ops.dispatch import answer
from nightshift.ops.teams import COMMANDS
from nightshift.settings import settings


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return answer(event, commands=COMMANDS, db=database(), settings=settings())
