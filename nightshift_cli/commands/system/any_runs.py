"""nightshift system runs, view, trigger, cancel and schedules: any team's runs, and system jobs."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from nightshift_cli.base.text import clean
from nightshift_cli.commands.jobs import run_id_argument
from nightshift_cli.commands.outcome import report_run, show_runs, show_slices, watch_to_the_end
from nightshift_cli.commands.run_options import params_option, wait_option
from nightshift_cli.remote.names import Names
from nightshift_cli.session import Session, operator_options
from nightshift_cli.show.follow import look_again
from nightshift_cli.show.log_rows import log_line
from nightshift_cli.show.run_rows import STATUSES, facts_of, pause_words
from nightshift_cli.show.times import minute
from nightshift_cli.values import JobTypeName

MAIL_HEADERS = ("MAIL TO", "STATUS", "TRIES", "ERROR")
SLOT_HEADERS = ("LAST SLOTS", "OUTCOME", "STATUS", "RUN", "WHY")


@click.command()
@click.option(
    "--type",
    "job_type",
    metavar="JOB_TYPE",
    type=JobTypeName(),
    help="Only runs of this job type; for a project job, the runs of every team.",
)
@click.option("--status", type=click.Choice(STATUSES), help="Only runs in this status.")
@click.option(
    "--all", "every_team", is_flag=True, help="Runs of every team: live runs first, then the most recently ended."
)
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 200), default=20, show_default=True, help="Maximum number of runs."
)
@operator_options
@click.pass_obj
def runs(session: Session, /, **filters: Any) -> None:
    """List runs of system jobs, newest first.

    \b
    Examples:
      nightshift system runs --status failed
      nightshift system runs --all --status running --stack nightshift
    """
    answer = session.stack.operate("runs", **filters)
    if session.output.as_json:
        session.output.document(answer)
    elif not answer["job_runs"]:
        session.output.say("No runs.")
    else:
        show_runs(answer["job_runs"], session=session, names=_names_in(answer["job_runs"]))
        if left_out := answer.get("left_out"):
            session.output.say(
                f"{left_out:,} more runs did not fit into one answer. Narrow the list with --type or --status."
            )
    if not session.output.as_json and (looked_through := answer.get("looked_through")):
        session.output.say(
            f"Only the {looked_through:,} runs that ended last and {looked_through:,} live runs were looked through."
        )


@click.command()
@run_id_argument
@click.option("--follow", "watch", is_flag=True, help="Show progress until the run ends; exit with 0, 1 or 3.")
@operator_options
@click.pass_obj
def view(session: Session, run_id: str, watch: bool) -> None:
    """Show everything about any run: why it is not progressing, its slices and its mails.

    \b
    Examples:
      nightshift system view RUN_ID
      nightshift system view RUN_ID --follow --stack nightshift
    """
    if watch:
        watch_to_the_end(session.stack.run(run_id), api=session.stack, session=session)
    answer = session.stack.operate("view", run_id=run_id)
    if session.output.as_json:
        session.output.document(answer)
        return
    timeline = answer["timeline"]
    session.output.facts(facts_of(answer["job_run"], timeline=timeline, now=session.clock.now()))
    show_slices(timeline, session=session)
    for line in answer.get("log_lines") or []:
        session.output.say(log_line(line))
    if answer["mails"]:
        mails = [
            (mail.get("recipient") or "the operator", mail.get("status"), mail.get("attempts"), _trouble(mail))
            for mail in answer["mails"]
        ]
        session.output.table(mails, headers=MAIL_HEADERS, wrap=True)


def _trouble(mail: Mapping[str, Any]) -> object:
    """Return why a mail did not arrive. One that was sent has no error, but may have bounced since."""
    return mail.get("error") or mail.get("stopped")


@click.command()
@click.argument("job_type")
@params_option
@wait_option
@operator_options
@click.pass_obj
def trigger(session: Session, job_type: str, params: dict[str, Any], wait: bool) -> None:
    """Start a run of the system job JOB_TYPE.

    \b
    Examples:
      nightshift system trigger db_pruning --wait
      nightshift system trigger soft_delete_cleanup --stack nightshift
      nightshift system trigger retention_cleanup --param dry_run=true --wait
    """
    run = session.stack.operate("trigger", job_type=job_type, params=params)["job_run"]
    report_run(run, api=session.stack, session=session, wait=wait)


@click.command()
@run_id_argument
@operator_options
@click.pass_obj
def cancel(session: Session, run_id: str) -> None:
    """Ask any run to stop. A run in progress stops after its current step.

    \b
    Examples:
      nightshift system cancel RUN_ID
    """
    answer = session.stack.operate("cancel", run_id=run_id)
    if session.output.as_json:
        session.output.document(answer)
    else:
        session.output.say(f"Asked run {run_id} to stop. {look_again(run_id, view=session.stack.view)}")


@click.command()
@click.option(
    "--slots",
    metavar="N",
    type=click.IntRange(1, 50),
    default=3,
    show_default=True,
    help="Number of past slots to show per schedule.",
)
@operator_options
@click.pass_obj
def schedules(session: Session, slots: int) -> None:
    """Show each schedule: cron, pauses, last success, next slots, and the outcome of past slots.

    All times are UTC.

    \b
    Examples:
      nightshift system schedules
      nightshift system schedules --slots 24 --stack nightshift
    """
    answer = session.stack.operate("schedules", slots=slots)
    if session.output.as_json:
        session.output.document(answer)
        return
    for number, schedule in enumerate(answer["schedules"]):
        if number:
            session.output.say("")
        _show_schedule(schedule, session=session)


def _names_in(runs: Sequence[Mapping[str, Any]]) -> Names:
    """Return the names of teams and projects that the answer includes."""
    return Names(
        {clean(run["project_id"]): f"{clean(run['team'])} / {clean(run['project'])}" for run in runs if run.get("team")}
    )


def _show_schedule(schedule: dict[str, Any], *, session: Session) -> None:
    say, name = session.output.say, clean(schedule["job_type"])
    if not schedule["cron"]:
        say(f"{name}: no schedule; runs only when triggered.")
    else:
        say(f"{name}: {clean(schedule['cron'])}, active since {minute(schedule['active_since'])}")
        say(f"last success  {minute(schedule.get('last_success_at')) or 'never'}")
        say("next          " + ", ".join(minute(slot) for slot in schedule["next"]))
    for pause in schedule.get("paused") or []:
        say(f"paused        {'the schedule, ' if pause.get('what') == 'schedule' else ''}{pause_words(pause)}")
    if schedule["last"]:
        session.output.table([_slot_row(past) for past in schedule["last"]], headers=SLOT_HEADERS, wrap=True)


def _slot_row(past: dict[str, Any]) -> list[object]:
    why = past.get("reason") or past.get("error")
    return [minute(past["slot"]), past["outcome"], past["status"], past["run_id"], why]
