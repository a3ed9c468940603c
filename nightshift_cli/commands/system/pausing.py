"""nightshift system pause and resume: stop new runs of a job type, or only those of its schedule, for a while."""

from collections.abc import Mapping
from typing import Any

import click

from nightshift_cli.base.text import clean
from nightshift_cli.session import Session, operator_options
from nightshift_cli.show.run_rows import pause_words
from nightshift_cli.values import JobTypeName

job_type_argument = click.argument("job_type", metavar="JOB_TYPE", type=JobTypeName())


@click.command()
@job_type_argument
@click.option("--why", metavar="TEXT", required=True, help="Reason, shown to everyone whose trigger is refused.")
@click.option("--schedule", "schedule_only", is_flag=True, help="Pause only the schedule; manual triggers still work.")
@click.option("--by", metavar="NAME", help="Name of the person who pauses; by default your AWS or local user name.")
@operator_options
@click.pass_obj
def pause(session: Session, job_type: str, why: str, schedule_only: bool, by: str | None) -> None:
    """Pause JOB_TYPE: refuse triggers, with the reason, and skip the slots of its schedule.

    Live runs continue.

    \b
    Examples:
      nightshift system pause revenuecat_sync --why "RevenueCat is down until noon"
      nightshift system pause db_pruning --schedule --why "disk work"
    """
    by = by or session.stack.caller
    answer = session.stack.operate("pause", job_type=job_type, why=why, schedule_only=schedule_only, by=by)
    paused = answer["paused"]
    _tell(session, {"paused": paused}, [f"Paused {_what(paused)} {pause_words(paused)}."])


@click.command()
@job_type_argument
@operator_options
@click.pass_obj
def resume(session: Session, job_type: str) -> None:
    """Resume JOB_TYPE and its schedule.

    \b
    Examples:
      nightshift system resume db_pruning
    """
    answer = session.stack.operate("resume", job_type=job_type)
    _tell(session, answer, [f"Resumed {_what(ended)}, paused {pause_words(ended)}." for ended in answer["resumed"]])


def _what(pause: Mapping[str, Any]) -> str:
    return ("the schedule of " if pause["what"] == "schedule" else "") + clean(pause["job_type"])


def _tell(session: Session, answer: dict[str, Any], lines: list[str]) -> None:
    if session.output.as_json:
        session.output.document(answer)
        return
    for line in lines:
        session.output.say(line)
