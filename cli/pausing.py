"""nightshift system pause and resume: stop a job type, or its schedule, from starting anything for a while."""

from collections.abc import Mapping
from typing import Any

import click

from cli.output import clean
from cli.runs import minute
from cli.session import Session, owner_options
from cli.values import JobTypeName

job_type_argument = click.argument("job_type", metavar="JOB_TYPE", type=JobTypeName())


@click.command()
@job_type_argument
@click.option("--why", metavar="TEXT", required=True, help="The reason; whoever is refused reads it.")
@click.option("--schedule", "schedule_only", is_flag=True, help="Only its schedule: people may still start it.")
@click.option("--by", metavar="NAME", help="Who pauses; without it, who you are to AWS or on this machine.")
@owner_options
@click.pass_obj
def pause(session: Session, job_type: str, why: str, schedule_only: bool, by: str | None) -> None:
    """Let nobody start JOB_TYPE: triggers are refused with who, why and since when, and slots of its schedule skipped.

    Runs that are live go on.

    \b
    Examples:
      nightshift system pause revenuecat_sync --why "RevenueCat is down until noon"
      nightshift system pause db_pruning --schedule --why "disk work"
    """
    ops = session.ops
    paused = ops.ask("pause", job_type=job_type, why=why, schedule_only=schedule_only, by=by or ops.caller)["paused"]
    _tell(session, {"paused": paused}, [f"Paused {_what(paused)} {pause_words(paused)}."])


@click.command()
@job_type_argument
@owner_options
@click.pass_obj
def resume(session: Session, job_type: str) -> None:
    """End the pauses of JOB_TYPE and of its schedule.

    \b
    Examples:
      nightshift system resume db_pruning
    """
    answer = session.ops.ask("resume", job_type=job_type)
    _tell(session, answer, [f"Resumed {_what(ended)}, paused {pause_words(ended)}." for ended in answer["resumed"]])


def _what(pause: Mapping[str, Any]) -> str:
    return ("the schedule of " if pause["what"] == "schedule" else "") + clean(pause["job_type"])


def pause_words(pause: Mapping[str, Any]) -> str:
    """``since 2026-11-23 03:00 UTC by ada: provider maintenance``."""
    return f"since {minute(pause.get('since'))} UTC by {clean(pause.get('by'))}: {clean(pause.get('why'))}"


def _tell(session: Session, answer: dict[str, Any], lines: list[str]) -> None:
    if session.output.as_json:
        session.output.document(answer)
        return
    for line in lines:
        session.output.say(line)
