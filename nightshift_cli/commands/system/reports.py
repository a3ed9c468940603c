"""nightshift system health, doctor and deadletters: find problems, and say what to do about them."""

import shlex
from typing import Any

import click

from nightshift.base.wording import one_line
from nightshift_cli.base.failures import Failure, RequestRefused
from nightshift_cli.base.group import Group
from nightshift_cli.base.text import clean
from nightshift_cli.remote.stack_functions import StackFunctions
from nightshift_cli.session import Session, operator_options
from nightshift_cli.show.run_rows import LIVE, took
from nightshift_cli.values import MailAddress

# Harmless to repeat: existing partitions are left as they are.
SMOKE_JOB = "partition_creation"
POLL_S = 2
# Three minutes in total: a run must begin within seconds, and a mail must be sent within a minute.
POLLS = 90
LETTER_HEADERS = ("ABOUT", "ID", "STATUS")
# An unrecognised message has no id and no status. At 80 columns, this much of its body fits.
BODY_HEADERS, BODY_SHOWN = ("ABOUT", "BODY"), 60
# Events that EventBridge could not deliver have no queue to return to.
ONLY_DELETED = "schedules"


@click.command()
@operator_options
@click.pass_obj
def health(session: Session) -> None:
    """Check for anything stuck, missed, dead-lettered, unsent or full. Exit with 1 if a check is red.

    \b
    Examples:
      nightshift system health
      nightshift system health --stack nightshift --format json
    """
    checks = session.stack.operate("health")["checks"]
    _show(session, checks)
    _finish(session, checks)


@click.command()
@click.option(
    "--mail-to", metavar="ADDRESS", type=MailAddress(), help="Send a test mail to ADDRESS and wait until it is sent."
)
@operator_options
@click.pass_obj
def doctor(session: Session, mail_to: str | None) -> None:
    """Check an installation: database, network, queues, SES, and a run from trigger to end. Exit with 1 if a check is
    red.

    \b
    Examples:
      nightshift system doctor --stack nightshift --mail-to me@example.com
    """
    checks = session.stack.operate("doctor")["checks"]
    _show(session, checks)
    checks.append(_smoke_run(session))
    _show(session, checks[-1:])
    if mail_to:
        checks.append(_test_mail(session, mail_to))
        _show(session, checks[-1:])
    _finish(session, checks)


@click.group(cls=Group, invoke_without_command=True)
@click.option(
    "--peek",
    metavar="N",
    type=click.IntRange(0, 50),
    default=10,
    show_default=True,
    help="Number of messages to show per queue.",
)
@operator_options
@click.pass_context
def deadletters(context: click.Context, peek: int) -> None:
    """List the messages in the dead-letter queues, with the run or mail of each.

    Listing does not remove messages. Runs do not depend on them: the sweep sends every message that is still needed
    again.

    \b
    Examples:
      nightshift system deadletters
      nightshift system deadletters --peek 50
    """
    if context.invoked_subcommand:
        return
    session: Session = context.obj
    answer = session.stack.operate("deadletters", peek=peek)
    if session.output.as_json:
        session.output.document(answer)
        return
    for queue in answer["queues"]:
        count, error = queue["waiting"], queue.get("error")
        words = f"about {count} waiting; redrive {clean(queue['redrive'])}" if count else "empty"
        words = f"cannot be read: {clean(error)}" if error else words
        session.output.say(f"{clean(queue['queue'])}: {words}")
        letters = queue["messages"]
        known = [(letter["about"], letter["id"], letter["status"]) for letter in letters if letter["id"]]
        bodies = [(letter["about"], _beginning(letter["body"])) for letter in letters if not letter["id"]]
        for rows, headers in ((known, LETTER_HEADERS), (bodies, BODY_HEADERS)):
            if rows:
                session.output.table(rows, headers=headers)
        for trouble in dict.fromkeys(letter["error"] for letter in letters if letter["error"]):
            session.output.say(f"error: {clean(trouble)}")


@deadletters.command()
@click.argument("queue", required=False)
@operator_options
@click.pass_obj
def redrive(session: Session, queue: str | None) -> None:
    """Send dead letters again: those of QUEUE (runs, mails or events), or all.

    This is always harmless: a message for an ended run is dropped, and a mail or an event is sent only once. Calls
    that EventBridge could not deliver (schedules) have no queue to return to; naming that queue deletes its messages.

    \b
    Examples:
      nightshift system deadletters redrive
      nightshift system deadletters redrive runs
    """
    totals: dict[str, dict[str, Any]] = {}
    while True:
        redriven = session.stack.operate("redrive", queue=queue)["redriven"]
        for each in redriven:
            sum_ = totals.setdefault(each["queue"], each | {"moved": 0, "deleted": 0})
            sum_ |= {"moved": sum_["moved"] + each["moved"], "deleted": sum_["deleted"] + each["deleted"]}
            sum_ |= {"refused": each["refused"], "more": each["more"], "error": each.get("error")}
        if not any(each["more"] and each["moved"] + each["deleted"] for each in redriven):
            break
    if session.output.as_json:
        session.output.document({"redriven": list(totals.values())})
        return
    for name, total in totals.items():
        done = f"{total['deleted']} deleted" if name == ONLY_DELETED else f"{total['moved']} sent again"
        refused = f", {total['refused']} refused by SQS: try again later" if total["refused"] else ""
        failed = f"; then redriving failed: {clean(total['error'])}" if total.get("error") else ""
        session.output.say(f"{clean(name)}: {done}{refused}{failed}")


def _beginning(body: object) -> str:
    return one_line(clean(body), longest=BODY_SHOWN)


def _smoke_run(session: Session) -> dict[str, Any]:
    """Wait for a run of a real job to complete: a new run, or the one that is already live."""
    name, stack = "smoke run", session.stack
    session.output.say(f"Waiting for a run of {SMOKE_JOB} …")
    try:
        run = _triggered(stack)
        for _ in range(POLLS):
            if run["status"] not in LIVE:
                break
            session.sleep(POLL_S)
            run = stack.run(run["id"])
        else:
            why = clean(stack.timeline(run["id"]).get("why"))
            return _red(name, f"run {run['id']} is still {run['status']} after three minutes. {why}.", do=_look_at(run))
    except Failure as exc:
        return _red(name, exc.message, do="Fix the red checks above first, then run doctor again.")
    if run["status"] != "completed":
        return _red(name, f"run {run['id']} {run['status']}: {run.get('error') or ''}", do=_look_at(run))
    return {"name": name, "ok": True, "says": f"run {run['id']} completed in {took(run)}", "do": None}


def _triggered(stack: StackFunctions) -> dict[str, Any]:
    try:
        run: dict[str, Any] = stack.operate("trigger", job_type=SMOKE_JOB)["job_run"]
    except RequestRefused as exc:
        if "existing_run_id" not in exc.body:
            raise
        return stack.run(exc.body["existing_run_id"])
    return run


def _test_mail(session: Session, to: str) -> dict[str, Any]:
    name, stack = "test mail", session.stack
    session.output.say(f"Waiting for a mail to {to} …")
    try:
        mail = stack.operate("send_test_mail", to=to)["mail"]
        for _ in range(POLLS):
            if mail["status"] != "unsent":
                break
            session.sleep(POLL_S)
            mail = stack.operate("mail", mail_id=mail["id"])["mail"]
    except Failure as exc:
        return _red(name, exc.message, do="Correct the address, or fix the red checks above, then run doctor again.")
    if mail["status"] == "sent":
        return {"name": name, "ok": True, "says": f"sent to {to}; check that it arrived", "do": None}
    says = f"{mail['status']} after {mail['attempts']} attempts: {mail['error'] or 'no attempt has started'}"
    return _red(name, says, do="Check the sender and the SES account above, then the log of NotifyFunction.")


def _red(name: str, says: str, *, do: str) -> dict[str, Any]:
    return {"name": name, "ok": False, "says": says, "do": do}


def _look_at(run: dict[str, Any]) -> str:
    return f"nightshift system view {run['id']}"


def _show(session: Session, checks: list[dict[str, Any]]) -> None:
    if session.output.as_json:
        return
    # The function does not know which --stack option the caller used.
    asked = f"nightshift {shlex.join(session.stack.view[:-1])} "
    session.output.checks(
        [check | {"do": check["do"] and check["do"].replace("nightshift system ", asked)} for check in checks]
    )


def _finish(session: Session, checks: list[dict[str, Any]]) -> None:
    """Print the result, and exit with 1 if a check is red."""
    red = [check for check in checks if not check["ok"]]
    if session.output.as_json:
        session.output.document({"ok": not red, "checks": checks})
    else:
        are = "is" if len(red) == 1 else "are"
        session.output.say(
            f"{len(red)} of {len(checks)} checks {are} red." if red else f"All {len(checks)} checks are green."
        )
    click.get_current_context().exit(1 if red else 0)
