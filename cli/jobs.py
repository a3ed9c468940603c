"""nightshift jobs: list, view, trigger, cancel, rerun and timeline."""

import shlex
from typing import Any
from uuid import uuid4

import click

from cli.errors import Failure, NotSignedIn, Refused, Unreachable
from cli.follow import follow_command, look_again
from cli.group import Group
from cli.names import names_of
from cli.outcome import report_run, show_runs, show_slices, watch_to_the_end
from cli.output import clean
from cli.runs import STATUSES, facts_of
from cli.session import Session, common_options
from cli.values import HeaderValue, Name, Param, RunId, by_name

run_id_argument = click.argument("run_id", type=RunId())
wait_option = click.option("--wait", is_flag=True, help="Show progress until the run is over; exit 0, 1 or 3 with it.")


params_option = click.option(
    "--param",
    "params",
    multiple=True,
    type=Param(),
    callback=by_name,
    help="A parameter of the job; the value is JSON, or else text.",
)
key_option = click.option(
    "--idempotency-key", type=HeaderValue(), help="Under the same key the same run comes back for 24 hours."
)


@click.group(cls=Group)
def jobs() -> None:
    """Trigger runs of jobs, watch them, cancel them.

    Wherever a RUN_ID is asked for, the beginning of an id will do that no other run shares: four digits or more.

    \b
    Examples:
      nightshift jobs trigger revenuecat_sync --wait
      nightshift jobs list --since 2h
      nightshift jobs view RUN_ID --follow
    """


@jobs.command("list")
@click.option("--type", "job_type", metavar="JOB_TYPE", help="Only runs of this job type.")
@click.option("--status", type=click.Choice(STATUSES), help="Only runs in this status.")
@click.option("--project", metavar="ID_OR_SLUG", type=Name(), help="Only runs of this project.")
@click.option("--since", metavar="TIME", help="Created since: ISO 8601 or an age such as 30m, 1h, 7d.")
@click.option("--until", metavar="TIME", help="Created until, written the same way.")
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 200), default=50, show_default=True, help="Runs to a page."
)
@click.option("--cursor", metavar="CURSOR", help="Go on after the page that ended with this cursor.")
@click.option("--all", "all_pages", is_flag=True, help="Every page, not only the first.")
@common_options
@click.pass_obj
def list_runs(
    session: Session, /, project: str | None, cursor: str | None, all_pages: bool, **filters: str | int | None
) -> None:
    """List the team's runs, newest first.

    On a terminal a run takes one line: its id is short, and what does not fit is cut or left out. A pipe gets it all.

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
        # A cursor that stands still would have us ask for ever.
        if not page.get("cursor") or page["cursor"] == cursor:
            raise Unreachable(f"{session.api.url} says that there are more runs, but not where they begin.")
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
            session.output.say(f"There are more: --all, or --cursor {shlex.quote(clean(page.get('cursor')))}")


@jobs.command()
@run_id_argument
@click.option("--follow", "watch", is_flag=True, help="Show progress until the run is over; exit 0, 1 or 3 with it.")
@common_options
@click.pass_obj
def view(session: Session, run_id: str, watch: bool) -> None:
    """Show everything about a run, and why it is not moving.

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
@click.argument("job_type")
@click.option(
    "--project", metavar="ID_OR_SLUG", type=Name(), help="The project; may be left out where there is only one."
)
@params_option
@click.option("--notify", is_flag=True, help="Mail me when the run is over.")
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
    wait: bool,
    idempotency_key: str | None,
) -> None:
    """Start a run of JOB_TYPE.

    \b
    Examples:
      nightshift jobs trigger revenuecat_sync --project acme --wait
      nightshift jobs trigger revenuecat_sync --param include_sandbox=true --notify
      nightshift jobs trigger revenuecat_sync --wait --format json > run.json
    """
    request: dict[str, Any] = {"job_type": job_type, "project_id": session.project_id(project), "notify": notify}
    if params:
        request["params"] = params
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
    help="From its beginning, or from where it stopped.",
)
@wait_option
@key_option
@common_options
@click.pass_obj
def rerun(session: Session, run_id: str, start: str, wait: bool, idempotency_key: str | None) -> None:
    """Start a new run with the parameters of one that is over.

    With --from cursor it goes on where the old one stopped; one that completed has nowhere to go on from.

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
    """Ask a run to stop. One that is at work stops after its current step.

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
    """Show the slices a run was made of: how each ended, and what it waited for.

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


def timeline_of(session: Session, run: dict[str, Any]) -> dict[str, Any]:
    """What else the API says about a run; nothing when it cannot, which is no reason not to show the run."""
    try:
        return session.api.timeline(run["id"], attempts=1)
    except Failure:
        return {}


def refusal_hint(exc: Refused, *, session: Session) -> str:
    """For an overlap, how to follow the run that is in the way; for a token that is not taken, where it is from."""
    if isinstance(exc, NotSignedIn) and session.has_asked:
        config = session.config
        again = f" Sign in again: nightshift login --profile {config.profile}" if config.profile else ""
        return f"The token is from {config.token_from}.{again}"
    existing = exc.body.get("existing_run_id")
    return f"Follow that run: {follow_command(str(existing), view=exc.view)}" if existing else ""
