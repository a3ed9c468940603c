"""The operator's commands. The CLI invokes this function with IAM credentials; the API cannot reach it."""

from collections.abc import Mapping
from typing import Any

from nightshift.base import metrics
from nightshift.base.logger import logger
from nightshift.base.settings import settings_for
from nightshift.database.queries import database
from nightshift.operator import (
    audit_commands,
    dead_letters,
    doctor,
    health,
    log_lines,
    mail_commands,
    pause_commands,
    run_commands,
    run_view,
    schedule_commands,
)
from nightshift.operator.dispatch import Command, answer
from nightshift.overview import system_summary

COMMANDS: Mapping[str, Command] = {
    "overview": system_summary.overview,
    "runs": run_commands.list_runs,
    "view": run_view.view,
    "logs": log_lines.run_logs,
    "trigger": run_commands.trigger,
    "cancel": run_commands.cancel,
    "pause": pause_commands.pause,
    "resume": pause_commands.resume,
    "schedules": schedule_commands.list_schedules,
    "health": health.check_health,
    "deadletters": dead_letters.list_dead_letters,
    "redrive": dead_letters.redrive,
    "doctor": doctor.examine,
    "audit": audit_commands.list_entries,
    "send_test_mail": mail_commands.send_test_mail,
    "mail": mail_commands.view_mail,
    "mail_stops": mail_commands.list_mail_stops,
    "lift_mail_stop": mail_commands.lift_mail_stop,
}


@logger.inject_lambda_context(clear_state=True)
@metrics.published
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return answer(
        event, commands=COMMANDS, request_id=context.aws_request_id, db=database(), settings=settings_for("operate")
    )
