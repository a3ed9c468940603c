"""nightshift jobs overview: is the data fresh, and do the jobs work?"""

from collections.abc import Mapping
from typing import Any

import click

from nightshift.base.wording import number
from nightshift_cli.base.text import clean
from nightshift_cli.commands.completed import ProjectName
from nightshift_cli.remote import overview_calls
from nightshift_cli.session import Session, common_options
from nightshift_cli.show.overview_rows import ERROR_HEADERS, HEADERS, LEGEND, OPTIONAL, error_row_of, row_of
from nightshift_cli.values import JobTypeName


@click.command()
@click.option("--project", metavar="ID_OR_SLUG", type=ProjectName(), help="Only this project.")
@click.option("--type", "job_type", metavar="JOB_TYPE", type=JobTypeName(), help="Only this job type.")
@common_options
@click.pass_obj
def overview(session: Session, project: str | None, job_type: str | None) -> None:
    """Show whether the data is fresh and the jobs work: the last 14 days of each project and job type.

    Failing and late jobs come first. Failed runs follow, grouped by error, with what to do.

    \b
    Examples:
      nightshift jobs overview
      nightshift jobs overview --project acme --format json
    """
    project_id = session.project_id(project) if project else None
    answer = overview_calls.summary(session.team_id, project_id=project_id, job_type=job_type, api=session.api)
    if session.output.as_json:
        session.output.document(answer)
    elif not answer["jobs"]:
        session.output.say("No job has run yet, and none has a schedule.")
    else:
        now = session.clock.now()
        session.output.table([row_of(job, now=now) for job in answer["jobs"]], headers=HEADERS, optional=OPTIONAL)
        if left_out := answer.get("jobs_left_out"):
            session.output.say(f"{number(left_out)} more jobs are not shown. Narrow the list with --project or --type.")
        if until := clean(answer.get("counted_until")):
            session.output.say(f"Runs that ended after {until} are not in the figures yet.")
        session.output.say(LEGEND)
        show_errors(answer, session=session)


def show_errors(answer: Mapping[str, Any], *, session: Session) -> None:
    """Show the groups of failed runs, and say how many were looked at."""
    if not answer["errors"]:
        return
    session.output.say("")
    session.output.table([error_row_of(group) for group in answer["errors"]], headers=ERROR_HEADERS, wrap=True)
    if answer.get("has_more_failures"):
        session.output.say(f"Only the newest {number(answer['failures_looked_at'])} failed runs were looked at.")
