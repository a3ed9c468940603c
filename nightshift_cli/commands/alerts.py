"""nightshift alerts: what a team is told of its runs, by mail, in Slack or at a webhook."""

from typing import Any

import click

from nightshift_cli.base.group import Group
from nightshift_cli.base.hidden import read_hidden
from nightshift_cli.base.text import clean
from nightshift_cli.remote import alert_calls
from nightshift_cli.remote.ids import short_ids
from nightshift_cli.session import Session, common_options
from nightshift_cli.show.alert_rows import DELIVERY_HEADERS, HEADERS, OPTIONAL, delivery_row_of, readers, row_of, state
from nightshift_cli.show.times import zoned_minute
from nightshift_cli.values import JobTypeName, MailAddress, Name, RunId

EVENTS = ("failed", "ended", "first_failure", "recovered", "overdue")

alert_id_argument = click.argument("alert_id", type=RunId("alert"))
FIELDS = (
    click.option(
        "--on",
        "events",
        multiple=True,
        type=click.Choice(EVENTS),
        help="What it tells of. first_failure: the first one after a success. overdue: no success for --overdue-hours.",
    ),
    click.option("--type", "job_types", multiple=True, type=JobTypeName(), help="Only runs of these job types."),
    click.option(
        "--project", "projects", metavar="ID_OR_SLUG", multiple=True, type=Name(), help="Only these projects."
    ),
    click.option("--url", metavar="URL", type=Name(), help="The address of a webhook."),
    click.option(
        "--url-stdin", is_flag=True, help="Read the address of Slack, which is a secret, from standard input."
    ),
    click.option("--admins/--no-admins", default=None, help="Whether a mail goes to all admins of the team."),
    click.option(
        "--address",
        "addresses",
        multiple=True,
        type=MailAddress(),
        help="A further reader of a mail; one outside the team confirms the address first.",
    ),
    click.option(
        "--minutes-between",
        type=click.IntRange(0, 1440),
        help="Minutes between two messages; what happens in between is one digest (default 5).",
    ),
    click.option(
        "--overdue-hours", type=click.IntRange(1, 8760), help="Hours without a success after which a job is overdue."
    ),
    click.option("--name", metavar="TEXT", type=Name(), help="A name; otherwise its events and its channel."),
)


def fields(command: Any) -> Any:
    for option in reversed(FIELDS):
        command = option(command)
    return command


@click.group(cls=Group)
def alerts() -> None:
    """Be told of runs by mail, in Slack, or at a webhook.

    Only the team's admins, and keys with the permission alerts:write, may use these commands. An ALERT_ID may be
    shortened to its first characters, at least four, if they identify one alert.

    \b
    Examples:
      nightshift alerts create mail --on failed --admins
      nightshift alerts list
      nightshift alerts test ALERT_ID
    """


@alerts.command("list")
@common_options
@click.pass_obj
def list_alerts(session: Session) -> None:
    """List the team's alerts, newest first.

    \b
    Examples:
      nightshift alerts list
      nightshift alerts list --format json
    """
    found = alert_calls.alerts_of(session.team_id, api=session.api)
    if session.output.as_json:
        session.output.document({"alerts": found})
    elif not found:
        session.output.say("No alerts. Make one with `nightshift alerts create`.")
    else:
        ids = [clean(each.get("id")) for each in found]
        shown = short_ids(ids) if session.output.is_fitted else ids
        rows = [row_of(each, id=id) for each, id in zip(found, shown, strict=True)]
        session.output.table(rows, headers=HEADERS, optional=OPTIONAL)


@alerts.command()
@click.argument("channel", type=click.Choice(("mail", "slack", "webhook")))
@fields
@common_options
@click.pass_obj
def create(session: Session, /, channel: str, **given: Any) -> None:
    """Make an alert that is sent by CHANNEL.

    The secret that signs the messages of a webhook is shown this once. The address of Slack is prompted for, without
    showing it, or read from standard input.

    \b
    Examples:
      nightshift alerts create mail --on failed --admins
      nightshift alerts create slack --on first_failure --on recovered --url-stdin < slack-url.txt
      nightshift alerts create webhook --on ended --url https://hooks.example.com/nightshift
    """
    request = _request(session, given) | {"channel": channel}
    request.setdefault("events", ["failed"])
    if channel == "slack" and "url" not in request:
        request["url"] = read_hidden("address", option="--url-stdin", from_stdin=False)
    _tell(alert_calls.make(session.team_id, request, api=session.api), session)


@alerts.command()
@alert_id_argument
@fields
@click.option("--all-types", is_flag=True, help="Runs of all job types again.")
@click.option("--all-projects", is_flag=True, help="All projects again.")
@common_options
@click.pass_obj
def edit(session: Session, /, alert_id: str, all_types: bool, all_projects: bool, **given: Any) -> None:
    """Change an alert. Lists are replaced as a whole.

    \b
    Examples:
      nightshift alerts edit ALERT_ID --on failed --on recovered
      nightshift alerts edit ALERT_ID --minutes-between 30 --all-projects
    """
    changes = _request(session, given)
    changes |= ({"job_types": None} if all_types else {}) | ({"project_ids": None} if all_projects else {})
    if "events" in changes and "overdue" not in changes["events"]:
        changes["overdue_hours"] = None
    if not changes:
        raise click.UsageError("Nothing to change: give at least one option.")
    _tell(alert_calls.change(_whole(session, alert_id), changes, api=session.api), session)


@alerts.command()
@alert_id_argument
@common_options
@click.pass_obj
def pause(session: Session, alert_id: str) -> None:
    """Pause an alert. It does not tell of runs that end during the pause.

    \b
    Examples:
      nightshift alerts pause ALERT_ID
    """
    _tell(alert_calls.change(_whole(session, alert_id), {"enabled": False}, api=session.api), session)


@alerts.command()
@alert_id_argument
@common_options
@click.pass_obj
def resume(session: Session, alert_id: str) -> None:
    """End the pause of an alert.

    \b
    Examples:
      nightshift alerts resume ALERT_ID
    """
    _tell(alert_calls.change(_whole(session, alert_id), {"enabled": True}, api=session.api), session)


@alerts.command()
@alert_id_argument
@common_options
@click.pass_obj
def delete(session: Session, alert_id: str) -> None:
    """Delete an alert with its secrets and its deliveries.

    \b
    Examples:
      nightshift alerts delete ALERT_ID
    """
    alert_id = _whole(session, alert_id)
    answer = alert_calls.delete(alert_id, api=session.api)
    if session.output.as_json:
        session.output.document(answer)
    else:
        session.output.say(f"Deleted alert {alert_id}.")


@alerts.command()
@alert_id_argument
@common_options
@click.pass_obj
def test(session: Session, alert_id: str) -> None:
    """Send a test. It comes at once, and by mail within a minute.

    \b
    Examples:
      nightshift alerts test ALERT_ID
    """
    alert_id = _whole(session, alert_id)
    _tell_of_delivery(alert_calls.test(alert_id, api=session.api), session, alert_id=alert_id)


@alerts.command()
@alert_id_argument
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="How many.")
@common_options
@click.pass_obj
def deliveries(session: Session, alert_id: str, limit: int) -> None:
    """List the last deliveries of an alert with the answers to them, newest first.

    \b
    Examples:
      nightshift alerts deliveries ALERT_ID
      nightshift alerts deliveries ALERT_ID --limit 1 --format json
    """
    found = alert_calls.deliveries_of(_whole(session, alert_id), limit=limit, api=session.api)
    if session.output.as_json:
        session.output.document({"deliveries": found})
    elif not found:
        session.output.say("No deliveries yet. Send a test with `nightshift alerts test`.")
    else:
        session.output.table([delivery_row_of(each) for each in found], headers=DELIVERY_HEADERS)


@alerts.command()
@click.argument("delivery_id", type=RunId("delivery"))
@common_options
@click.pass_obj
def replay(session: Session, delivery_id: str) -> None:
    """Send a delivery again, under its id.

    \b
    Examples:
      nightshift alerts replay DELIVERY_ID
    """
    delivery = alert_calls.replay(delivery_id, api=session.api)
    _tell_of_delivery(delivery, session, alert_id=clean(delivery.get("alert_id")))


@alerts.command()
@alert_id_argument
@common_options
@click.pass_obj
def rotate(session: Session, alert_id: str) -> None:
    """Give a webhook a new secret, and print it once. For a day, the old one signs its messages as well.

    \b
    Examples:
      nightshift alerts rotate ALERT_ID
    """
    answer = alert_calls.rotate(_whole(session, alert_id), api=session.api)
    if session.output.as_json:
        session.output.document(answer)
    else:
        session.output.say(f"Secret: {clean(answer.get('secret'))}")
        session.output.say(f"The old secret signs as well until {zoned_minute(answer.get('old_secret_until'))}.")


def _request(session: Session, given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that were given, as the API has them."""
    from_stdin, projects = given.pop("url_stdin"), given.pop("projects")
    request = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
    request = {name: value for name, value in request.items() if value not in (None, [])}
    if projects:
        request["project_ids"] = [session.project_id(project) for project in projects]
    if from_stdin:
        request["url"] = read_hidden("address", option="--url-stdin", from_stdin=True)
    return request


def _tell(answer: dict[str, Any], session: Session) -> None:
    if session.output.as_json:
        session.output.document(answer)
        return
    alert = answer["alert"]
    session.output.say(f"Alert {clean(alert.get('id'))} to {readers(alert)}: {state(alert)}")
    if answer.get("secret"):
        session.output.say(f"Secret, shown this once: {clean(answer['secret'])}")
    for note in answer.get("notes") or []:
        session.output.say(clean(note))


def _tell_of_delivery(delivery: dict[str, Any], session: Session, *, alert_id: str) -> None:
    if session.output.as_json:
        session.output.document(delivery)
    else:
        session.output.say(
            f"Delivery {clean(delivery.get('id'))} is {clean(delivery.get('status'))}. "
            f"To see the answer: nightshift alerts deliveries {alert_id}"
        )


def _whole(session: Session, alert_id: str) -> str:
    return alert_calls.whole_id(alert_id, team_id=session.team_id, api=session.api)
