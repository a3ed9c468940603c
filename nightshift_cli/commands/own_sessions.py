"""nightshift sessions: list and end the sessions of the person who calls."""

from typing import Any

import click

from nightshift_cli.base.group import Group
from nightshift_cli.base.text import clean
from nightshift_cli.remote import session_calls
from nightshift_cli.remote.ids import only_id, short_ids
from nightshift_cli.session import Session, common_options
from nightshift_cli.show.times import minute
from nightshift_cli.values import RunId

HEADERS = ("ID", "WITH", "FROM", "SIGNED IN", "LAST USED", "")
OPTIONAL = ("SIGNED IN",)


@click.group(cls=Group)
def sessions() -> None:
    """List and end your sessions: the browsers and terminals in which you signed in with a code or a link.

    A session ends by itself after 12 hours without use, and after 30 days.

    \b
    Examples:
      nightshift sessions list
      nightshift sessions end --all
    """


@sessions.command("list")
@common_options
@click.pass_obj
def list_sessions(session: Session) -> None:
    """List your sessions, the last used first.

    \b
    Examples:
      nightshift sessions list
    """
    found = session_calls.sessions_of_caller(api=session.api)
    if session.output.as_json:
        session.output.document({"sessions": found})
        return
    ids = [clean(each.get("id")) for each in found]
    shown = short_ids(ids) if session.output.is_fitted else ids
    if found:
        session.output.table(
            [_row(each, id) for each, id in zip(found, shown, strict=True)], headers=HEADERS, optional=OPTIONAL
        )
    else:
        session.output.say("No sessions.")


@sessions.command()
@click.argument("session_id", type=RunId("session"), required=False)
@click.option("--all", "every_one", is_flag=True, help="End all of your sessions, also the one of this terminal.")
@common_options
@click.pass_obj
def end(session: Session, session_id: str | None, every_one: bool) -> None:
    """End one session, or with --all every one.

    A SESSION_ID may be shortened to its first characters, at least four, if they identify one session.

    \b
    Examples:
      nightshift sessions end SESSION_ID
      nightshift sessions end --all
    """
    if every_one == bool(session_id):
        raise click.UsageError("Give either a SESSION_ID or --all.")
    answer = session_calls.end(session_id and _whole(session, session_id), api=session.api)
    if session.output.as_json:
        session.output.document(answer)
    else:
        count = answer["ended"]
        session.output.say(f"Ended {count:,} session{'' if count == 1 else 's'}.")


def _whole(session: Session, session_id: str) -> str:
    return only_id(
        session_id,
        lambda: [clean(each.get("id")) for each in session_calls.sessions_of_caller(api=session.api)],
        kind="session",
        of="yours",
    )


def _row(found: dict[str, Any], id: str) -> tuple[object, ...]:
    return (
        id,
        found.get("browser"),
        found.get("network"),
        minute(found.get("created_at")),
        minute(found.get("last_used_at")),
        "this one" if found.get("is_current") is True else "",
    )
