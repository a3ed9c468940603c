"""nightshift system setup, teams, project, member and revenuecat-key: teams, through the stack's setup function."""

import sys
from collections.abc import Callable, Sequence

import click

from nightshift_cli.base.failures import Misconfigured
from nightshift_cli.base.text import clean
from nightshift_cli.commands.system.keys import show_key, team_argument
from nightshift_cli.session import Session, operator_options
from nightshift_cli.values import MailAddress, Name

TEAMS = ("TEAM", "NAME", "PROJECTS", "PEOPLE")


def key_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options for a RevenueCat key."""
    for option in (
        click.option(
            "--revenuecat-project-id", metavar="ID", help="RevenueCat project id; needed if the key sees several."
        ),
        click.option("--revenuecat-key-stdin", is_flag=True, help="Read the RevenueCat key from standard input."),
    ):
        command = option(command)
    return command


@click.command()
@click.option("--team", metavar="NAME", required=True, help="The new team.")
@click.option("--admin-email", metavar="EMAIL", required=True, help="The team's owner; created if the user is new.")
@click.option("--project", metavar="NAME", required=True, help="The team's first project.")
@click.option("--slug", metavar="SLUG", type=Name(), help="The team's slug; by default derived from its name.")
@click.option(
    "--project-slug", metavar="SLUG", type=Name(), help="The project's slug; by default derived from its name."
)
@key_options
@operator_options
@click.pass_obj
def setup(
    session: Session,
    team: str,
    admin_email: str,
    project: str,
    slug: str | None,
    project_slug: str | None,
    revenuecat_key_stdin: bool,
    revenuecat_project_id: str | None,
) -> None:
    """Create a team with an owner, a project and an agent key, which is printed once.

    On a terminal, the command prompts for the RevenueCat key unless --revenuecat-key-stdin is given. An empty answer
    skips it.

    \b
    Examples:
      nightshift system setup --team Acme --admin-email ada@example.com --project "Acme iOS"
      nightshift system setup --team 日本アプリ --slug nihon --admin-email ada@example.com --project iOS
    """
    made = session.stack.set_up(
        "setup",
        team=team,
        admin_email=admin_email,
        project=project,
        team_slug=slug,
        project_slug=project_slug,
        revenuecat_key=_revenuecat_key(from_stdin=revenuecat_key_stdin),
        revenuecat_project_id=revenuecat_project_id,
    )
    show_key(session, made)


@click.command("sign-in-link")
@click.argument("email", metavar="EMAIL", type=MailAddress())
@operator_options
@click.pass_obj
def sign_in_link(session: Session, email: str) -> None:
    """Print a link that signs the person with this address in to the dashboard, once, within ten minutes.

    Use it where no mail arrives, for example until Amazon SES lets the account send to all addresses. Send the link on
    a way that only this person reads. The audit names who made it.

    \b
    Examples:
      nightshift system sign-in-link ada@example.com
    """
    made = session.stack.set_up("sign_in_link", email=email)
    if session.output.as_json:
        session.output.document(made)
        return
    session.output.say(made["link"])
    session.output.note("It works once, within ten minutes, for the first person who opens it.")


@click.command()
@click.option("--search", metavar="TEXT", help="Only teams whose slug or name contains TEXT.")
@operator_options
@click.pass_obj
def teams(session: Session, search: str | None) -> None:
    """List all teams with their projects and members.

    \b
    Examples:
      nightshift system teams
      nightshift system teams --search acme
    """
    answer = session.stack.set_up("teams", search=search)
    if session.output.as_json:
        session.output.document(answer)
        return
    rows = [
        (
            team.get("slug"),
            team.get("name"),
            _named(team.get("projects") or [], in_all=team.get("projects_in_all")),
            _named(
                [f"{clean(person.get('email'))} ({clean(person.get('role'))})" for person in team["people"]],
                in_all=team.get("people_in_all"),
            ),
        )
        for team in answer["teams"]
    ]
    if rows:
        session.output.table(rows, headers=TEAMS)
    else:
        session.output.say("No teams.")
    if answer.get("has_more"):
        session.output.say("There are more teams. Narrow the list with --search.")


def _named(names: Sequence[str], *, in_all: object) -> str:
    """Return the names, and how many more there are."""
    more = in_all - len(names) if isinstance(in_all, int) else 0
    return ", ".join(names) + (f" and {more:,} more" if more > 0 else "")


@click.command()
@team_argument
@click.argument("name", metavar="NAME")
@click.option("--slug", metavar="SLUG", type=Name(), help="The project's slug; by default derived from its name.")
@key_options
@operator_options
@click.pass_obj
def project(
    session: Session,
    team: str,
    name: str,
    slug: str | None,
    revenuecat_key_stdin: bool,
    revenuecat_project_id: str | None,
) -> None:
    """Create a project in TEAM.

    On a terminal, the command prompts for the RevenueCat key unless --revenuecat-key-stdin is given. An empty answer
    skips it.

    \b
    Examples:
      nightshift system project acme "Acme Android" --revenuecat-key-stdin < key.txt
    """
    made = session.stack.set_up(
        "project",
        team=team,
        project=name,
        project_slug=slug,
        revenuecat_key=_revenuecat_key(from_stdin=revenuecat_key_stdin),
        revenuecat_project_id=revenuecat_project_id,
    )
    if session.output.as_json:
        session.output.document(made)
    else:
        session.output.facts([(name.replace("_", " "), value) for name, value in made.items()])


@click.command()
@team_argument
@click.argument("email", type=MailAddress())
@click.option(
    "--role",
    type=click.Choice(["owner", "admin", "member", "none"]),
    required=True,
    help="Owners and admins can run jobs; members cannot see them. none removes the person from the team.",
)
@operator_options
@click.pass_obj
def member(session: Session, team: str, email: str, role: str) -> None:
    """Give a person a role in TEAM, or remove them from it.

    A new EMAIL creates a user. The last owner cannot be removed.

    \b
    Examples:
      nightshift system member acme grace@example.com --role admin
      nightshift system member acme grace@example.com --role none
    """
    answer = session.stack.set_up("member", team=team, email=email, role=role)
    if session.output.as_json:
        session.output.document(answer)
    elif not answer.get("user_id"):
        session.output.say(f"{email} was not in the team {team}.")
    else:
        session.output.say(
            f"{email} is no longer in the team {team}." if role == "none" else f"{email} is now {role} of {team}."
        )


@click.command("revenuecat-key")
@team_argument
@click.argument("project", metavar="PROJECT")
@key_options
@operator_options
@click.pass_obj
def revenuecat_key(
    session: Session, team: str, project: str, revenuecat_key_stdin: bool, revenuecat_project_id: str | None
) -> None:
    """Store a project's RevenueCat key, replacing an existing one.

    TEAM and PROJECT are slugs. A running sync continues with the new key.

    \b
    Examples:
      nightshift system revenuecat-key acme acme-ios --revenuecat-key-stdin < key.txt
    """
    key = _revenuecat_key(from_stdin=revenuecat_key_stdin, asks="RevenueCat v2 secret key")
    if key is None:
        raise Misconfigured("No RevenueCat key to store. In a script, pass it with --revenuecat-key-stdin < FILE.")
    stored = session.stack.set_up(
        "revenuecat_key",
        team=team,
        project=project,
        revenuecat_key=key,
        revenuecat_project_id=revenuecat_project_id,
    )
    if session.output.as_json:
        session.output.document(stored)
    else:
        session.output.say(f"Stored the RevenueCat key of {team}/{project}.")


def _revenuecat_key(*, from_stdin: bool, asks: str = "RevenueCat v2 secret key (empty for none)") -> str | None:
    """Read the key from standard input or a prompt. As an argument, `ps` and the shell's history would show it."""
    stdin = sys.stdin
    if from_stdin:
        if key := stdin.readline().strip():
            return key
        raise Misconfigured("Standard input holds no RevenueCat key.")
    if not stdin.isatty():
        return None
    asked: str = click.prompt(asks, hide_input=True, default="", show_default=False, err=True)
    return asked.strip() or None
