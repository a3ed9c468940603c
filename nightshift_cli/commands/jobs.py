"""nightshift jobs: list, view, trigger, cancel, rerun and timeline."""

import shlex
from typing import Any
from uuid import uuid4

import click

from nightshift_cli.base.failures import Failure, NotSignedIn, RequestRefused, Unreachable
from nightshift_cli.base.group import Group
from nightshift_cli.base.text import clean
from nightshift_cli.commands.completed import OwnRunId, ProjectName
from nightshift_cli.commands.outcome import report_run, report_schedule, show_runs, show_slices, watch_to_the_end
from nightshift_cli.remote import schedule_calls
from nightshift_cli.remote.names import names_of
from nightshift_cli.session import Session, common_options
from nightshift_cli.show.follow import follow_command, look_again
from nightshift_cli.show.run_rows import STATUSES, facts_of
from nightshift_cli.values import HeaderValue, JobTypeName, Moment, Param, by_name

run_id_argument = click.argument("run_id", type=OwnRunId())
wait_option = click.option("--wait", is_flag=True, help="Show progress until the run ends; exit with 0, 1 or 3.")


params_option = click.option(
    "--param",
    "params",
    multiple=True,
    type=Param(),
    callback=by_name,
    help="A job parameter. The value is read as JSON if it is valid JSON, otherwise as text.",
)
key_option = click.option(
    "--idempotency-key", type=HeaderValue(), help="For 24 hours, the same key returns the same run."
)


@click.group(cls=Group)
def jobs() -> None:
    """Trigger, watch and cancel runs of jobs.

    A RUN_ID may be shortened to its first characters, at least four, if they identify one run.

    \b
    Examples:
      nightshift jobs trigger revenuecat_sync --wait
      nightshift jobs list --since 2h
      nightshift jobs view RUN_ID --follow
    """


@jobs.command("list")
@click.option("--type", "job_type", metavar="JOB_TYPE", type=JobTypeName(), help="Only runs of this job type.")
@click.option("--status", type=click.Choice(STATUSES), help="Only runs in this status.")
@click.option("--project", metavar="ID_OR_SLUG", type=ProjectName(), help="Only runs of this project.")
@click.option("--since", metavar="TIME", help="Created at or after TIME: ISO 8601, or an age such as 30m, 1h, 7d.")
@click.option("--until", metavar="TIME", help="Created at or before TIME, in the same format.")
@click.option("--limit", metavar="N", type=click.IntRange(1, 200), default=50, show_default=True, help="Runs per page.")
@click.option("--cursor", metavar="CURSOR", help="Show the page after the one that returned this cursor.")
@click.option("--all", "all_pages", is_flag=True, help="Show every page, not only the first.")
@common_options
@click.pass_obj
def list_runs(
    session: Session, /, project: str | None, cursor: str | None, all_pages: bool, **filters: str | int | None
) -> None:
    """List the team's runs, newest first.

    On a terminal each run takes one line: ids are shortened, and columns that do not fit are cut or left out. Piped
    output is complete.

    \b
    Examples:
      nightshift jobs list --since 2h
      nightshift jobs list --status failed --since 7d --until 1d
      nightshift jobs list --project acme --all --format json
    """
    filters["project_id"] = session.project_id(project) if project else None
    page = session.api.runs(session.team_id, cursor=cursor, **filters)
    runs = page["job_runs"]
    while all_pages and page["has_more"]:
        # A cursor that does not change would loop forever.
        if not page.get("cursor") or page["cursor"] == cursor:
            raise Unreachable(f"{session.api.url} reports more runs, but returned no new cursor for the next page.")
        cursor = page["cursor"]
        page = session.api.runs(session.team_id, cursor=cursor, **filters)
        runs += page["job_runs"]
    if session.output.as_json:
        session.output.document(page | {"job_runs": runs})
    elif not runs:
        session.output.say("No runs.")
    else:
        show_runs(runs, session=session, names=names_of(runs, team_id=session.team_id, api=session.api))
        if page["has_more"]:
            cursor = shlex.quote(clean(page.get("cursor")))
            session.output.say(f"There are more runs. Show all with --all, or the next page with --cursor {cursor}")


@jobs.command()
@run_id_argument
@click.option("--follow", "watch", is_flag=True, help="Show progress until the run ends; exit with 0, 1 or 3.")
@common_options
@click.pass_obj
def view(session: Session, run_id: str, watch: bool) -> None:
    """Show everything about a run, including why it is not progressing.

    \b
    Examples:
      nightshift jobs view RUN_ID
      nightshift jobs view RUN_ID --follow
    """
    run = session.api.run(session.run_id(run_id))
    if watch:
        watch_to_the_end(run, api=session.api, session=session)
    elif session.output.as_json:
        session.output.document(run)
    else:
        timeline = timeline_of(session, run)
        names = names_of([run], team_id=clean(run.get("team_id")), api=session.api)
        session.output.facts(facts_of(run, timeline=timeline, now=session.clock.now(), names=names))


@jobs.command()
@click.argument("job_type", type=JobTypeName())
@click.option(
    "--project", metavar="ID_OR_SLUG", type=ProjectName(), help="The project; optional if the team has only one."
)
@params_option
@click.option("--notify", is_flag=True, help="Send me a mail when the run ends.")
@click.option(
    "--at", "run_at", metavar="TIME", type=Moment(), help="Start it later: local time, ISO 8601, or a wait such as 2h."
)
@wait_option
@key_option
@common_options
@click.pass_obj
def trigger(
    session: Session,
    job_type: str,
    project: str | None,
    params: dict[str, Any],
    notify: bool,
    run_at: str | None,
    wait: bool,
    idempotency_key: str | None,
) -> None:
    """Start a run of JOB_TYPE, now or with --at at a later time.

    \b
    Examples:
      nightshift jobs trigger revenuecat_sync --project acme --wait
      nightshift jobs trigger revenuecat_sync --param include_sandbox=true --notify
      nightshift jobs trigger revenuecat_sync --at '2026-12-24 03:00'
      nightshift jobs trigger revenuecat_sync --wait --format json > run.json
    """
    request: dict[str, Any] = {"job_type": job_type, "project_id": session.project_id(project), "notify": notify}
    if params:
        request["params"] = params
    if run_at:
        if wait:
            raise click.UsageError("--wait cannot be used with --at: the run does not exist before its time.")
        later = schedule_calls.start_later(session.team_id, request | {"run_at": run_at}, api=session.api)
        report_schedule(later, session)
        return
    run = session.api.trigger(session.team_id, request, idempotency_key=idempotency_key or str(uuid4()))
    report_run(run, api=session.api, session=session, wait=wait)


@jobs.command()
@run_id_argument
@click.option(
    "--from",
    "start",
    type=click.Choice(["start", "cursor"]),
    default="start",
    show_default=True,
    help="Start from the beginning, or from the old run's last checkpoint.",
)
@wait_option
@key_option
@common_options
@click.pass_obj
def rerun(session: Session, run_id: str, start: str, wait: bool, idempotency_key: str | None) -> None:
    """Start a new run with the parameters of an ended run.

    With --from cursor the new run continues from the old run's last checkpoint (its cursor). A completed run cannot be
    continued.

    \b
    Examples:
      nightshift jobs rerun RUN_ID --wait
      nightshift jobs rerun RUN_ID --from cursor
    """
    run = session.api.rerun(session.run_id(run_id), start=start, idempotency_key=idempotency_key or str(uuid4()))
    report_run(run, api=session.api, session=session, wait=wait)


@jobs.command()
@run_id_argument
@common_options
@click.pass_obj
def cancel(session: Session, run_id: str) -> None:
    """Ask a run to stop. A run in progress stops after its current step.

    \b
    Examples:
      nightshift jobs cancel RUN_ID
    """
    run_id = session.run_id(run_id)
    answer = session.api.cancel(run_id)
    if session.output.as_json:
        session.output.document(answer)
    else:
        session.output.say(f"Asked run {run_id} to stop. {look_again(run_id, view=session.api.view)}")


@jobs.command()
@run_id_argument
@common_options
@click.pass_obj
def timeline(session: Session, run_id: str) -> None:
    """Show the slices of a run: how each one ended, and what the run waited for.

    \b
    Examples:
      nightshift jobs timeline RUN_ID
    """
    answer = session.api.timeline(session.run_id(run_id))
    if session.output.as_json:
        session.output.document(answer)
        return
    show_slices(answer, session=session)
    session.output.say(clean(answer.get("why")) or f"State: {clean(answer.get('state')) or 'unknown'}")
    if stopped := clean(answer.get("mail_stopped")):
        session.output.say(stopped)


def timeline_of(session: Session, run: dict[str, Any]) -> dict[str, Any]:
    """Return the run's timeline; {} if the request fails, because the run can be shown without it."""
    try:
        return session.api.timeline(run["id"], attempts=1)
    except Failure:
        return {}


def refusal_hint(exc: RequestRefused, *, session: Session) -> str:
    """Return a hint: for an overlap, how to follow the live run; for a refused token, where the token came from."""
    if isinstance(exc, NotSignedIn) and session.has_asked:
        config = session.config
        again = f" Sign in again: nightshift login --profile {config.profile}" if config.profile else ""
        return f"The token came from {config.token_from}.{again}"
    existing = exc.body.get("existing_run_id")
    return f"Follow that run: {follow_command(str(existing), view=exc.view)}" if existing else ""
