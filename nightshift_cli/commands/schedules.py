"""nightshift schedules: list, view, create, edit, pause, resume and delete a team's schedules."""

from typing import Any

import click

from nightshift_cli.base.group import Group
from nightshift_cli.base.text import clean
from nightshift_cli.commands.completed import ProjectName
from nightshift_cli.commands.outcome import report_schedule
from nightshift_cli.remote import schedule_calls
from nightshift_cli.remote.ids import short_ids
from nightshift_cli.remote.names import names_of
from nightshift_cli.session import Session, common_options
from nightshift_cli.show.schedule_rows import HEADERS, OPTIONAL, SLOT_HEADERS, facts_of, row_of, slot_row_of
from nightshift_cli.values import JobTypeName, Moment, Name, Param, RunId, by_name

SLOTS = 10

schedule_id_argument = click.argument("schedule_id", type=RunId("schedule"))
cron_option = click.option("--cron", metavar="EXPRESSION", type=Name(), help="Five fields, such as '0 3 * * *'.")
zone_option = click.option(
    "--zone", metavar="ZONE", type=Name(), help="Time zone whose clock it follows, such as Europe/Berlin."
)
at_option = click.option(
    "--at", "run_at", metavar="TIME", type=Moment(), help="Start once: local time, ISO 8601, or a wait such as 2h."
)
params_option = click.option(
    "--param",
    "params",
    multiple=True,
    type=Param(),
    callback=by_name,
    help="A job parameter. The value is read as JSON if it is valid JSON, otherwise as text.",
)
name_option = click.option("--name", metavar="TEXT", type=Name(), help="A name; otherwise its times in words.")


@click.group(cls=Group)
def schedules() -> None:
    """Start jobs by a schedule, or once at a later time.

    A SCHEDULE_ID may be shortened to its first characters, at least four, if they identify one schedule.

    \b
    Examples:
      nightshift schedules create revenuecat_sync --cron '0 3 * * *' --zone Europe/Berlin
      nightshift schedules list
      nightshift schedules pause SCHEDULE_ID --why 'The provider moves'
    """


@schedules.command("list")
@click.option("--project", metavar="ID_OR_SLUG", type=ProjectName(), help="Only schedules of this project.")
@click.option("--type", "job_type", metavar="JOB_TYPE", type=JobTypeName(), help="Only schedules of this job type.")
@common_options
@click.pass_obj
def list_schedules(session: Session, project: str | None, job_type: str | None) -> None:
    """List the team's schedules, newest first, with the last and the next time of each.

    \b
    Examples:
      nightshift schedules list
      nightshift schedules list --project acme --format json
    """
    project_id = session.project_id(project) if project else None
    found = schedule_calls.schedules_of(session.team_id, api=session.api, project_id=project_id, job_type=job_type)
    if session.output.as_json:
        session.output.document({"schedules": found})
    elif not found:
        session.output.say("No schedules. Make one with `nightshift schedules create`.")
    else:
        ids = [clean(each.get("id")) for each in found]
        shown = short_ids(ids) if session.output.is_fitted else ids
        names = names_of(found, team_id=session.team_id, api=session.api)
        rows = [row_of(each, id=id, names=names) for each, id in zip(found, shown, strict=True)]
        session.output.table(rows, headers=HEADERS, optional=OPTIONAL)


@schedules.command()
@schedule_id_argument
@common_options
@click.pass_obj
def view(session: Session, schedule_id: str) -> None:
    """Show a schedule, its next times, and what became of its last ones.

    \b
    Examples:
      nightshift schedules view SCHEDULE_ID
    """
    found = schedule_calls.schedule(_whole(session, schedule_id), api=session.api)
    slots = schedule_calls.slots_of(clean(found.get("id")), limit=SLOTS, api=session.api)
    if session.output.as_json:
        session.output.document(found | {"slots": slots})
        return
    makers = names_of(
        [found | {"triggered_by": found.get("created_by")}], team_id=clean(found.get("team_id")), api=session.api
    )
    session.output.facts(facts_of(found, names=makers))
    if slots:
        session.output.table([slot_row_of(slot) for slot in slots], headers=SLOT_HEADERS)


@schedules.command()
@click.argument("job_type", type=JobTypeName())
@cron_option
@zone_option
@at_option
@click.option(
    "--project", metavar="ID_OR_SLUG", type=ProjectName(), help="The project; optional if the team has only one."
)
@params_option
@name_option
@click.option("--notify", is_flag=True, help="Send me a mail when one of its runs ends.")
@common_options
@click.pass_obj
def create(
    session: Session, /, job_type: str, project: str | None, params: dict[str, Any], **fields: str | bool | None
) -> None:
    """Make a schedule for JOB_TYPE: with --cron it repeats, with --at it starts one run.

    Without --zone, the expression follows UTC.

    \b
    Examples:
      nightshift schedules create revenuecat_sync --cron '0 3 * * *' --zone America/New_York
      nightshift schedules create revenuecat_sync --cron '0 4 * * SUN' --param mode=full --name weekly
      nightshift schedules create revenuecat_sync --at 2h
    """
    request: dict[str, Any] = {name: value for name, value in fields.items() if value}
    request |= {"job_type": job_type, "project_id": session.project_id(project)} | (
        {"params": params} if params else {}
    )
    report_schedule(schedule_calls.make(session.team_id, request, api=session.api), session)


@schedules.command()
@schedule_id_argument
@cron_option
@zone_option
@at_option
@params_option
@name_option
@click.option("--notify/--no-notify", default=None, help="Whether to send its maker a mail when a run ends.")
@common_options
@click.pass_obj
def edit(session: Session, /, schedule_id: str, params: dict[str, Any], **fields: str | bool | None) -> None:
    """Change a schedule. Parameters are replaced as a whole.

    \b
    Examples:
      nightshift schedules edit SCHEDULE_ID --cron '30 2 * * *'
      nightshift schedules edit SCHEDULE_ID --param mode=full --name weekly
    """
    changes: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    changes |= {"params": params} if params else {}
    if not changes:
        raise click.UsageError("Nothing to change: give at least one option.")
    report_schedule(schedule_calls.change(_whole(session, schedule_id), changes, api=session.api), session)


@schedules.command()
@schedule_id_argument
@click.option("--why", metavar="TEXT", type=Name(), required=True, help="The reason, for the others in the team.")
@common_options
@click.pass_obj
def pause(session: Session, schedule_id: str, why: str) -> None:
    """Pause a schedule. Its times pass without a run until it is resumed.

    \b
    Examples:
      nightshift schedules pause SCHEDULE_ID --why 'The provider moves'
    """
    report_schedule(schedule_calls.pause(_whole(session, schedule_id), why=why, api=session.api), session)


@schedules.command()
@schedule_id_argument
@common_options
@click.pass_obj
def resume(session: Session, schedule_id: str) -> None:
    """End the pause of a schedule. Times that have passed are not caught up.

    \b
    Examples:
      nightshift schedules resume SCHEDULE_ID
    """
    report_schedule(schedule_calls.resume(_whole(session, schedule_id), api=session.api), session)


@schedules.command()
@schedule_id_argument
@common_options
@click.pass_obj
def delete(session: Session, schedule_id: str) -> None:
    """Delete a schedule. Its runs stay.

    \b
    Examples:
      nightshift schedules delete SCHEDULE_ID
    """
    schedule_id = _whole(session, schedule_id)
    answer = schedule_calls.delete(schedule_id, api=session.api)
    if session.output.as_json:
        session.output.document(answer)
    else:
        session.output.say(f"Deleted schedule {schedule_id}.")


def _whole(session: Session, schedule_id: str) -> str:
    return schedule_calls.whole_id(schedule_id, team_id=session.team_id, api=session.api)
