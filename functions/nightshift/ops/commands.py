"""The commands of the ops function."""

from collections.abc import Mapping
from typing import Any

from nightshift.database import Database
from nightshift.ops import deadletters, dispatch, doctor, health, logs, pauses, runs, schedules, view
from nightshift.settings import Settings

COMMANDS: Mapping[str, dispatch.Command] = {
    "runs": runs.list_runs,
    "view": view.view,
    "logs": logs.run_logs,
    "trigger": runs.trigger,
    "cancel": runs.cancel,
    "pause": pauses.pause,
    "resume": pauses.resume,
    "schedules": schedules.list_schedules,
    "health": health.check_health,
    "deadletters": deadletters.list_dead_letters,
    "redrive": deadletters.redrive,
    "doctor": doctor.examine,
    "send_test_mail": doctor.send_test_mail,
    "mail": doctor.view_mail,
}


def answer(event: Mapping[str, Any], *, db: Database, settings: Settings) -> dict[str, Any]:
    return dispatch.answer(event, commands=COMMANDS, db=db, settings=settings)
