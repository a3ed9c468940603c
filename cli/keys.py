"""nightshift system agent-key, end-key and keys: a team's agent keys, through the stack's setup function."""

import click

from cli.output import clean
from cli.session import Session, owner_options
from cli.values import Name

KEYS = ("BEGINS WITH", "NAME", "MAY", "ACTS FOR", "CREATED", "ENDS")
DAY = len("2026-01-01")

team_argument = click.argument("team", metavar="TEAM")


@click.command("agent-key")
@team_argument
@click.option("--name", metavar="NAME", type=Name(), help="What people see of it where it starts a run.")
@click.option("--read-only", is_flag=True, help="It may look at runs, and start or stop none.")
@click.option("--days", metavar="N", type=click.IntRange(1, 3650), help="It ends by itself after so many days.")
@click.option(
    "--ends", metavar="PREFIX", type=Name(), help="End the key that begins so: owl_agent_ and four characters."
)
@owner_options
@click.pass_obj
def agent_key(
    session: Session, team: str, name: str | None, read_only: bool, days: int | None, ends: str | None
) -> None:
    """Make another agent key of TEAM, which is shown this once; with --ends, in the place of one.

    \b
    Examples:
      nightshift system agent-key acme --name CI --days 90
      nightshift system agent-key acme --read-only
      nightshift system agent-key acme --ends owl_agent_x7Qz
    """
    show_key(session, session.ops.set_up("agent_key", team=team, name=name, read_only=read_only, days=days, ends=ends))


@click.command("end-key")
@team_argument
@click.argument("prefix", metavar="PREFIX")
@owner_options
@click.pass_obj
def end_key(session: Session, team: str, prefix: str) -> None:
    """End the agent key of TEAM that begins with PREFIX: owl_agent_ and four characters.

    From then on it opens nothing. What it has started goes on.

    \b
    Examples:
      nightshift system end-key acme owl_agent_x7Qz
    """
    answer = session.ops.set_up("end_key", team=team, prefix=prefix)
    if session.output.as_json:
        session.output.document(answer)
    else:
        session.output.say("Ended.")


@click.command()
@team_argument
@click.option("--search", metavar="TEXT", help="Only keys that hold TEXT in prefix or name.")
@owner_options
@click.pass_obj
def keys(session: Session, team: str, search: str | None) -> None:
    """List the agent keys of TEAM that open something: how each begins, what it may, whom it acts for.

    \b
    Examples:
      nightshift system keys acme
    """
    answer = session.ops.set_up("keys", team=team, search=search)
    if session.output.as_json:
        session.output.document(answer)
        return
    rows = [
        (
            row.get("key_prefix"),
            row.get("name"),
            ", ".join(row.get("permissions") or []),
            row.get("acts_for"),
            clean(row.get("created_at"))[:DAY],
            clean(row.get("expires_at"))[:DAY] or "never",
        )
        for row in answer["keys"]
    ]
    if rows:
        session.output.table(rows, headers=KEYS)
    else:
        session.output.say("No agent keys.")
    if answer.get("has_more"):
        session.output.say("There are more keys. Narrow the list with --search.")


def show_key(session: Session, made: dict[str, str]) -> None:
    if session.output.as_json:
        session.output.document(made)
        return
    session.output.facts([(name.replace("_", " "), value) for name, value in made.items()])
    session.output.say("Keep the agent key now: it cannot be shown again. To sign in with it: nightshift login")
