"""Create teams and keys. The CLI invokes this function with IAM credentials."""

from collections.abc import Mapping
from typing import Any

from nightshift.base.logger import logger
from nightshift.base.settings import settings_for
from nightshift.database.queries import database
from nightshift.operator import team_commands
from nightshift.operator.dispatch import Command, answer

COMMANDS: Mapping[str, Command] = {
    "setup": team_commands.set_up,
    "teams": team_commands.list_teams,
    "project": team_commands.add_project,
    "member": team_commands.set_member,
    "revenuecat_key": team_commands.store_revenuecat_key,
    "agent_key": team_commands.make_agent_key,
    "end_key": team_commands.end_agent_key,
    "keys": team_commands.list_keys,
    "sign_in_link": team_commands.make_sign_in_link,
}


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return answer(
        event, commands=COMMANDS, request_id=context.aws_request_id, db=database(), settings=settings_for("setup")
    )
