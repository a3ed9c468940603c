"""nightshift keys: the agent keys of a team, which nothing shows again."""

from collections.abc import Mapping
from typing import Any

import click

from nightshift.tenants.key_terms import DEFAULT_DAYS, MOST_DAYS, MOST_GRACE_DAYS, PERMISSIONS
from nightshift_cli.base.group import Group
from nightshift_cli.base.text import clean
from nightshift_cli.remote import key_calls
from nightshift_cli.remote.names import Names, people_of
from nightshift_cli.session import Session, common_options
from nightshift_cli.show.times import minute
from nightshift_cli.values import Name

HEADERS = ("KEY", "NAME", "PERMISSIONS", "MADE BY", "EXPIRES", "LAST USED (UTC)")
# Columns that a narrow line may leave out, the least important first.
OPTIONAL = ("MADE BY", "LAST USED (UTC)", "PERMISSIONS")
DAY = len("2026-01-01")

key_argument = click.argument("key", metavar="KEY", type=Name())


@click.group(cls=Group)
def keys() -> None:
    """Make, list, rotate and end the agent keys with which scripts and machines use the API.

    Only the team's admins, and keys with the permission keys:write, may use these commands. KEY is a key's first
    characters as the list shows them, or its id.

    \b
    Examples:
      nightshift keys create CI
      nightshift keys list
      nightshift keys end owl_agent_x7Qz
    """


@keys.command("list")
@common_options
@click.pass_obj
def list_keys(session: Session) -> None:
    """List the team's agent keys, newest first. LAST USED is coarse: it is noted at most once an hour.

    A key that has expired is listed until it is ended.

    \b
    Examples:
      nightshift keys list
      nightshift keys list --format json
    """
    answer = key_calls.keys_of(session.team_id, api=session.api)
    if session.output.as_json:
        session.output.document(answer)
        return
    if not answer["keys"]:
        session.output.say("No agent keys. Make one: nightshift keys create NAME")
        return
    names = people_of(session.team_id, api=session.api)
    session.output.table([_row(key, names=names) for key in answer["keys"]], headers=HEADERS, optional=OPTIONAL)
    if answer.get("has_more"):
        session.output.say("There are more keys. End those that are not in use.")


@keys.command()
@click.argument("name", metavar="NAME", type=Name())
@click.option(
    "--allow",
    "permissions",
    multiple=True,
    type=click.Choice(PERMISSIONS),
    help="A permission of the key. Give it several times for several. [default: jobs:read and jobs:write]",
)
@click.option(
    "--days",
    metavar="N",
    type=click.IntRange(1, MOST_DAYS),
    help=f"Let the key expire after N days. [default: {DEFAULT_DAYS}]",
)
@click.option("--never", is_flag=True, help="Let the key work until it is ended.")
@common_options
@click.pass_obj
def create(session: Session, name: str, permissions: tuple[str, ...], days: int | None, never: bool) -> None:
    """Make an agent key with this NAME, and print it once.

    \b
    Examples:
      nightshift keys create CI
      nightshift keys create dashboard --allow jobs:read --days 365
      nightshift keys create tools --allow integrations:write --never
    """
    if never and days:
        raise click.UsageError("Give either --days or --never.")
    request: dict[str, Any] = {"name": name}
    request |= {"permissions": list(permissions)} if permissions else {}
    request |= {"expires_in_days": days} if days else {}
    request |= {"never_expires": True} if never else {}
    _show(session, key_calls.make(session.team_id, request, api=session.api))


@keys.command()
@key_argument
@click.option(
    "--grace",
    metavar="DAYS",
    type=click.IntRange(0, MOST_GRACE_DAYS),
    default=0,
    show_default=True,
    help="Let KEY work for so many days yet.",
)
@common_options
@click.pass_obj
def rotate(session: Session, key: str, grace: int) -> None:
    """Replace KEY with a new key of the same name, permissions and lifetime, and print it once.

    \b
    Examples:
      nightshift keys rotate owl_agent_x7Qz
      nightshift keys rotate owl_agent_x7Qz --grace 2
    """
    key_id = key_calls.whole_id(key, team_id=session.team_id, api=session.api)
    _show(session, key_calls.rotate(session.team_id, key_id, grace_days=grace, api=session.api))


@keys.command()
@key_argument
@common_options
@click.pass_obj
def end(session: Session, key: str) -> None:
    """End KEY. It stops working immediately. Runs that it started, schedules and keys that it made go on.

    \b
    Examples:
      nightshift keys end owl_agent_x7Qz
    """
    answer = key_calls.end(
        session.team_id, key_calls.whole_id(key, team_id=session.team_id, api=session.api), api=session.api
    )
    if session.output.as_json:
        session.output.document(answer)
    else:
        session.output.say("Ended the key.")


def _row(key: Mapping[str, Any], *, names: Names) -> tuple[object, ...]:
    permissions = key.get("permissions")
    maker = names.actor(made_by) if (made_by := key.get("made_by")) else ""
    return (
        key.get("key_prefix"),
        key.get("name"),
        ", ".join(clean(each) for each in permissions) if isinstance(permissions, list) else "",
        f"{maker} (has left)" if key.get("maker_has_left") else maker,
        _expiry(key),
        minute(key.get("last_used_at")) or "not yet",
    )


def _expiry(key: Mapping[str, Any]) -> str:
    day = clean(key.get("expires_at"))[:DAY] or "never"
    return f"expired {day}" if key.get("expired") else f"{day} (replaced)" if key.get("replaced_by") else day


def _show(session: Session, answer: dict[str, Any]) -> None:
    if session.output.as_json:
        session.output.document(answer)
        return
    made = answer["key"]
    facts = [
        ("agent key", made.get("secret")),
        ("name", made.get("name")),
        ("permissions", made.get("permissions")),
        ("expires", _expiry(made)),
    ]
    session.output.facts(facts)
    session.output.say("Save the agent key now: it cannot be shown again.")
