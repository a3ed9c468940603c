"""Create teams and keys as the schema owner. The CLI invokes this function with IAM credentials."""

from typing import Any

from nightshift.base.logger import logger
from nightshift.base.settings import settings_for
from nightshift.database.queries import database
from nightshift.operator.dispatch import answer
from nightshift.operator.team_commands import COMMANDS


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return answer(event, commands=COMMANDS, db=database(), settings=settings_for("setup"))
