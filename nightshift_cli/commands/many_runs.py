"""nightshift jobs cancel and rerun, of one run or of all that match, and nightshift jobs bulk: what became of many."""

import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import click

from nightshift_cli.base.failures import Failure, Interrupted, Misconfigured, Throttled, Unreachable
from nightshift_cli.base.group import Group
from nightshift_cli.base.text import clean
from nightshift_cli.commands.completed import OwnRunId
from nightshift_cli.commands.filter_options import NAMES, filter_options, filters_of
from nightshift_cli.commands.outcome import report_run
from nightshift_cli.commands.run_options import key_option, params_option, wait_option
from nightshift_cli.remote import bulk_calls
from nightshift_cli.session import Session, common_options
from nightshift_cli.show.bulk_rows import HEADERS, download, figures_of, outcome_lines, preview_lines, row_of
from nightshift_cli.show.follow import look_again
from nightshift_cli.show.run_rows import searched_words
from nightshift_cli.values import RunId

# Seconds between two looks at an action, and failed looks in a row before giving up.
POLL_S, PATIENCE = 2, 30

some_run = click.argument("run_id", type=OwnRunId(), required=False)
yes_option = click.option("--yes", is_flag=True, help="Do it without asking.")
save_option = click.option(
    "--save",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Store the list of runs in FILE: JSON if its name ends with .json, otherwise CSV.",
)
start_option = click.option(
    "--from",
    "start",
    type=click.Choice(["start", "cursor"]),
    default="start",
    show_default=True,
    help="Start from the beginning, or from the old run's last checkpoint.",
)
action_argument = click.argument("action_id", metavar="BULK_ID", type=RunId(of="bulk action"))


@click.command()
@some_run
@filter_options
@yes_option
@save_option
@common_options
@click.pass_obj
def cancel(session: Session, /, run_id: str | None, yes: bool, save: Path | None, **given: Any) -> None:
    """Ask a run to stop, or all live runs that match. A run in progress stops after its current step.

    Without a RUN_ID, the command shows how many runs match, and asks before it cancels them; --yes answers for you.

    \b
    Examples:
      nightshift jobs cancel RUN_ID
      nightshift jobs cancel --status pending --type revenuecat_sync --yes
    """
    if run_id is None:
        _many("cancel", given, yes=yes, save=save, session=session)
        return
    _refuse_both(given, yes=yes, save=save)
    run_id = session.run_id(run_id)
    answer = session.api.cancel(run_id)
    if session.output.as_json:
        session.output.document(answer)
    else:
        session.output.say(f"Asked run {run_id} to stop. {look_again(run_id, view=session.api.view)}")


@click.command()
@some_run
@start_option
@params_option
@filter_options
@wait_option
@key_option
@yes_option
@save_option
@common_options
@click.pass_obj
def rerun(
    session: Session,
    /,
    run_id: str | None,
    start: str,
    params: dict[str, Any],
    wait: bool,
    idempotency_key: str | None,
    yes: bool,
    save: Path | None,
    **given: Any,
) -> None:
    """Start a new run with the parameters of an ended run, or one for each that matches.

    With --from cursor the new run continues from the old run's last checkpoint (its cursor). A completed run cannot be
    continued. --param changes single parameters.

    Without a RUN_ID, the command shows how many runs match, and asks before it runs them again; --yes answers for you.
    Of the runs of one project and type, only the newest is run again, and no run twice.

    \b
    Examples:
      nightshift jobs rerun RUN_ID --wait
      nightshift jobs rerun RUN_ID --from cursor
      nightshift jobs rerun RUN_ID --param include_sandbox=true
      nightshift jobs rerun --status failed --since 1d --type revenuecat_sync --yes
    """
    if run_id is None:
        if params or wait or idempotency_key:
            raise click.UsageError("--param, --wait and --idempotency-key are for one run: give its RUN_ID.")
        _many("rerun", given, start=start, yes=yes, save=save, session=session)
        return
    _refuse_both(given, yes=yes, save=save)
    run_id = session.run_id(run_id)
    changed = _known_params(session.api.run(run_id), session=session) | params if params else None
    run = session.api.rerun(run_id, start=start, params=changed, idempotency_key=idempotency_key or str(uuid4()))
    report_run(run, api=session.api, session=session, wait=wait)


@click.group(cls=Group)
def bulk() -> None:
    """Show what became of runs that were cancelled or run again together.

    \b
    Examples:
      nightshift jobs bulk list
      nightshift jobs bulk view BULK_ID --save runs.csv
      nightshift jobs bulk stop BULK_ID
    """


@bulk.command("list")
@common_options
@click.pass_obj
def list_actions(session: Session) -> None:
    """List the newest bulk actions of the team.

    \b
    Examples:
      nightshift jobs bulk list
    """
    found = bulk_calls.actions_of(session.team_id, api=session.api)
    if session.output.as_json:
        session.output.document({"bulk_actions": found})
    elif not found:
        session.output.say("No bulk action.")
    else:
        session.output.table([row_of(each) for each in found], headers=HEADERS)


@bulk.command("view")
@action_argument
@save_option
@common_options
@click.pass_obj
def view_action(session: Session, action_id: str, save: Path | None) -> None:
    """Show what a bulk action has done, and why it left runs out.

    \b
    Examples:
      nightshift jobs bulk view BULK_ID
      nightshift jobs bulk view BULK_ID --save runs.csv
    """
    action_id = bulk_calls.whole_id(action_id, team_id=session.team_id, api=session.api)
    action = bulk_calls.action(session.team_id, action_id, api=session.api)
    _save(action, save, session=session)
    _report(action, session=session)


@bulk.command("stop")
@action_argument
@common_options
@click.pass_obj
def stop_action(session: Session, action_id: str) -> None:
    """Leave out what a bulk action has not done yet. What it has done stays.

    \b
    Examples:
      nightshift jobs bulk stop BULK_ID
    """
    action_id = bulk_calls.whole_id(action_id, team_id=session.team_id, api=session.api)
    _report(bulk_calls.stop(session.team_id, action_id, api=session.api), session=session)


def _many(
    kind: str, given: dict[str, Any], *, start: str = "start", yes: bool, save: Path | None, session: Session
) -> None:
    """Preview the action, ask, start it, and watch it until it ends."""
    if not any(given[name] for name in NAMES):
        raise click.UsageError("Give a RUN_ID, or choose runs with --status, --since, --type or another filter.")
    request = {"action": kind, "from": start, "match": filters_of(given, session=session)}
    answer = bulk_calls.preview(session.team_id, request, api=session.api)
    action = answer["bulk_action"]
    for line in preview_lines(action):
        session.output.say(line)
    if searched := answer.get("searched"):
        session.output.say(searched_words(searched))
    _save(action, save, session=session)
    if not figures_of(action).get("to_do"):
        _report(action, session=session, lines=["Nothing to do."] if figures_of(action).get("runs") else [])
        return
    if not (yes or _agrees(action)):
        _report(action, session=session, lines=["Nothing was done. Give --yes to do it."])
        click.get_current_context().exit(click.UsageError.exit_code)
    _report(
        _watched(bulk_calls.confirm(session.team_id, action["id"], api=session.api), session=session), session=session
    )


def _known_params(run: dict[str, Any], *, session: Session) -> dict[str, Any]:
    """Return the run's parameters that its job type still knows. Say which ones are left out."""
    old = dict(run.get("params") or {})
    for job_type in session.api.job_types():
        if job_type.get("job_type") == run.get("job_type") and isinstance(job_type.get("params"), dict):
            known = {"project_id", *(job_type["params"].get("properties") or {})}
            if gone := [name for name in old if name not in known]:
                session.output.note(
                    f"Left out, because the job type no longer knows it: {', '.join(map(clean, gone))}."
                )
            return {name: value for name, value in old.items() if name in known}
    return old


def _agrees(action: dict[str, Any]) -> bool:
    if not sys.stdin.isatty():
        return False
    does = "Cancel them" if action.get("action") == "cancel" else "Run them again"
    return click.confirm(f"{does}?", err=True)


def _watched(action: dict[str, Any], *, session: Session) -> dict[str, Any]:
    """Return the action when it has ended. Say on the way how much is left to do."""
    failures, said = 0, None
    try:
        while action.get("state") == "working":
            left = figures_of(action).get("to_do", 0)
            if left != said:
                session.output.note(f"{left:,} to do. The sweep goes on with them once a minute.")
                said = left
            session.sleep(POLL_S)
            try:
                action, failures = bulk_calls.action(session.team_id, action["id"], api=session.api), 0
            except (Unreachable, Throttled):
                failures += 1
                if failures == PATIENCE:
                    raise
    except (KeyboardInterrupt, Failure) as exc:
        again = f"The action continues. To look at it: nightshift jobs bulk view {action['id']}"
        if isinstance(exc, Failure):
            exc.message = f"{exc.message} {again}"
            raise
        raise Interrupted(f"Stopped watching. {again}", body={"bulk_action_id": action["id"]}) from None
    return action


def _report(action: dict[str, Any], *, session: Session, lines: list[str] | None = None) -> None:
    if session.output.as_json:
        session.output.document({"bulk_action": action})
        return
    for line in outcome_lines(action) if lines is None else lines:
        session.output.say(line)


def _save(action: dict[str, Any], save: Path | None, *, session: Session) -> None:
    if save is None:
        return
    items = bulk_calls.items_of(session.team_id, action["id"], api=session.api)
    try:
        save.write_text(download(items, as_json=save.suffix == ".json"), encoding="utf-8")
    except OSError as exc:
        raise Misconfigured(f"{clean(str(save))} cannot be written: {exc.strerror}.") from None
    session.output.note(f"Stored {len(items):,} runs in {clean(str(save))}.")


def _refuse_both(given: dict[str, Any], **bulk_only: Any) -> None:
    """Raise UsageError if options for many runs come with one RUN_ID."""
    if any(given[name] for name in NAMES) or any(bulk_only.values()):
        raise click.UsageError("Filters, --yes and --save are for many runs: leave out the RUN_ID.")
