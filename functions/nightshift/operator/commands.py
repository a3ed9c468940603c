"""The commands of the ops function."""

from collections.abc import Mapping
from typing import Any

from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.operator import (
    dead_letters,
    dispatch,
    doctor,
    health,
    log_lines,
    pause_commands,
    run_commands,
    run_view,
    schedule_commands,
)

COMMANDS: Mapping[str, dispatch.Command] = {
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
    "send_test_mail": doctor.send_test_mail,
    "mail": doctor.view_mail,
}


def answer(event: Mapping[str, Any], *, db: Database, settings: Settings) -> dict[str, Any]:
    return dispatch.answer(event, commands=COMMANDS, db=db, settings=settings)
