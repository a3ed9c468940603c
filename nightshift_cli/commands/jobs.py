"""nightshift jobs: list, view, trigger, cancel, rerun and timeline."""

import shlex
from typing import Any
from uuid import uuid4

import click

from nightshift_cli.base.failures import Failure, NotSignedIn, RequestRefused, Unreachable
from nightshift_cli.base.group import Group
from nightshift_cli.base.text import clean
from nightshift_cli.commands.completed import OwnRunId, ProjectName
from nightshift_cli.commands.filter_options import filter_options, filters_of
from nightshift_cli.commands.many_runs import bulk, cancel, rerun
from nightshift_cli.commands.outcome import report_run, report_schedule, show_runs, show_slices, watch_to_the_end
from nightshift_cli.commands.run_options import key_option, params_option, wait_option
from nightshift_cli.remote import schedule_calls
from nightshift_cli.remote.names import names_of
from nightshift_cli.session import Session, common_options
from nightshift_cli.show.follow import follow_command
from nightshift_cli.show.run_rows import facts_of, searched_words
from nightshift_cli.values import JobTypeName, Moment

run_id_argument = click.argument("run_id", type=OwnRunId())


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
@filter_options
@click.option("--limit", metavar="N", type=click.IntRange(1, 200), default=50, show_default=True, help="Runs per page.")
@click.option("--cursor", metavar="CURSOR", help="Show the page after the one that returned this cursor.")
@click.option("--all", "all_pages", is_flag=True, help="Show every page, not only the first.")
@common_options
@click.pass_obj
def list_runs(session: Session, /, limit: int, cursor: str | None, all_pages: bool, **given: Any) -> None:
    """List the team's runs, newest first.

    On a terminal each run takes one line: ids are shortened, and columns that do not fit are cut or left out. Piped
    output is complete.

    \b
    Examples:
      nightshift jobs list --since 2h
      nightshift jobs list --status failed --status cancelled --since 7d --until 1d
      nightshift jobs list --error 503 --by schedule --since '2026-11-23 08:00'
      nightshift jobs list --project acme --all --format json
    """
    filters: dict[str, Any] = {**filters_of(given, session=session), "limit": limit}
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
    elif not runs and not page["has_more"]:
        session.output.say("No runs.")
    else:
        if runs:
            show_runs(runs, session=session, names=names_of(runs, team_id=session.team_id, api=session.api))
        else:
            session.output.say("None of these runs matches.")
        if searched := page.get("searched"):
            session.output.say(searched_words(searched))
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


for _of_many in (rerun, cancel, bulk):
    jobs.add_command(_of_many)


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
