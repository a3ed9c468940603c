"""nightshift jobs pause, resume and pauses: a job type of one project starts no runs for a while."""

from collections.abc import Mapping
from typing import Any

import click

from nightshift_cli.base.text import clean
from nightshift_cli.remote import pause_calls
from nightshift_cli.remote.names import Names, people_of
from nightshift_cli.session import Session, common_options
from nightshift_cli.show.times import minute, zoned_minute
from nightshift_cli.values import Moment, Name

HEADERS = ("TYPE", "SINCE (UTC)", "UNTIL (UTC)", "BY", "WHY")

job_type_argument = click.argument("job_type")
project_option = click.option(
    "--project", metavar="ID_OR_SLUG", type=Name(), help="The project; needed if the team has several."
)


@click.command()
@job_type_argument
@project_option
@click.option(
    "--why", metavar="TEXT", type=Name(), required=True, help="Reason, shown to everyone whose trigger is refused."
)
@click.option(
    "--until", metavar="TIME", type=Moment(), help="End by itself: local time, ISO 8601, or a wait such as 2h."
)
@common_options
@click.pass_obj
def pause(session: Session, job_type: str, project: str | None, why: str, until: str | None) -> None:
    """Pause JOB_TYPE for a project: it starts no runs, by hand or by schedule, until it is resumed.

    Live runs go on; cancel them if they should stop. On a paused type, the command changes the reason and the end.

    \b
    Examples:
      nightshift jobs pause revenuecat_sync --why 'The provider moves'
      nightshift jobs pause revenuecat_sync --project acme --why 'The provider moves' --until 2h
    """
    body = {"why": why} | ({"until": until} if until else {})
    made = pause_calls.pause(session.project_id(project), job_type, body, api=session.api)
    if session.output.as_json:
        session.output.document({"pause": made})
        return
    end = f"until {zoned_minute(made.get('until'))}" if made.get("until") else "until it is resumed"
    session.output.say(f"Paused {job_type} for the project, {end}.")


@click.command()
@job_type_argument
@project_option
@common_options
@click.pass_obj
def resume(session: Session, job_type: str, project: str | None) -> None:
    """End the team's pause of JOB_TYPE for a project. A pause of the operator stays.

    \b
    Examples:
      nightshift jobs resume revenuecat_sync
    """
    answer = pause_calls.resume(session.project_id(project), job_type, api=session.api)
    if session.output.as_json:
        session.output.document(answer)
    else:
        session.output.say(f"Resumed {job_type} for the project.")


@click.command()
@project_option
@common_options
@click.pass_obj
def pauses(session: Session, project: str | None) -> None:
    """List the pauses that stop jobs of a project: by its team, and by the operator.

    \b
    Examples:
      nightshift jobs pauses
    """
    found = pause_calls.pauses_of(session.project_id(project), api=session.api)
    if session.output.as_json:
        session.output.document({"pauses": found})
    elif not found:
        session.output.say("No job of this project is paused.")
    else:
        names = people_of(session.team_id, api=session.api)
        session.output.table([_row(each, names=names) for each in found], headers=HEADERS)


def _row(pause: Mapping[str, Any], *, names: Names) -> tuple[object, ...]:
    by = clean(pause.get("by"))
    by = names.person(by) if pause.get("what") == "project" else f"the operator ({by})"
    return pause.get("job_type"), minute(pause.get("since")), minute(pause.get("until")), by, pause.get("why")
