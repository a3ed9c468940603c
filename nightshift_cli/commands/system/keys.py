"""nightshift system agent-key, end-key and keys: a team's agent keys, through the stack's setup function."""

import click

from nightshift.tenants.key_terms import EXTRA_PERMISSIONS
from nightshift_cli.base.text import clean
from nightshift_cli.session import Session, operator_options
from nightshift_cli.values import Name

KEYS = ("PREFIX", "NAME", "PERMISSIONS", "ACTS FOR", "CREATED", "EXPIRES")
DAY = len("2026-01-01")

team_argument = click.argument("team", metavar="TEAM")


@click.command("agent-key")
@team_argument
@click.option("--name", metavar="NAME", type=Name(), help="Name shown for runs that the key starts.")
@click.option("--read-only", is_flag=True, help="Allow the key to view runs, but not to start or cancel them.")
@click.option(
    "--allow",
    multiple=True,
    type=click.Choice(EXTRA_PERMISSIONS),
    help="Add a permission that keys do not have otherwise. Give it several times for several.",
)
@click.option("--days", metavar="N", type=click.IntRange(1, 3650), help="Let the key expire after N days.")
@click.option(
    "--ends", metavar="PREFIX", type=Name(), help="End the key that begins with PREFIX: owl_agent_ and four characters."
)
@operator_options
@click.pass_obj
def agent_key(
    session: Session,
    team: str,
    name: str | None,
    read_only: bool,
    allow: tuple[str, ...],
    days: int | None,
    ends: str | None,
) -> None:
    """Create an agent key for TEAM and print it once. With --ends, replace an existing key.

    \b
    Examples:
      nightshift system agent-key acme --name CI --days 90
      nightshift system agent-key acme --read-only
      nightshift system agent-key acme --name tools --allow integrations:write --days 7
      nightshift system agent-key acme --ends owl_agent_x7Qz
    """
    made = session.stack.set_up(
        "agent_key", team=team, name=name, read_only=read_only, allow=list(allow) or None, days=days, ends=ends
    )
    show_key(session, made)


@click.command("end-key")
@team_argument
@click.argument("prefix", metavar="PREFIX")
@operator_options
@click.pass_obj
def end_key(session: Session, team: str, prefix: str) -> None:
    """End the agent key of TEAM that begins with PREFIX: owl_agent_ and four characters.

    The key stops working immediately. Runs that it started continue.

    \b
    Examples:
      nightshift system end-key acme owl_agent_x7Qz
    """
    answer = session.stack.set_up("end_key", team=team, prefix=prefix)
    if session.output.as_json:
        session.output.document(answer)
    else:
        session.output.say("Ended the key.")


@click.command()
@team_argument
@click.option("--search", metavar="TEXT", help="Only keys whose prefix or name contains TEXT.")
@operator_options
@click.pass_obj
def keys(session: Session, team: str, search: str | None) -> None:
    """List the working agent keys of TEAM: prefix, name, permissions, the user each acts for, and dates.

    \b
    Examples:
      nightshift system keys acme
    """
    answer = session.stack.set_up("keys", team=team, search=search)
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
    session.output.say("Save the agent key now: it cannot be shown again. To sign in with it, run nightshift login.")
