"""nightshift system setup, agent-key and revenuecat-key: teams and their keys, through the stack's setup function."""

import sys
from collections.abc import Callable

import click

from cli.errors import Misconfigured
from cli.session import Session, owner_options


def key_options(command: Callable[..., None]) -> Callable[..., None]:
    """Where a RevenueCat key comes from."""
    for option in (
        click.option(
            "--revenuecat-project-id", metavar="ID", help="RevenueCat's id, where the key sees more than one."
        ),
        click.option("--revenuecat-key-stdin", is_flag=True, help="Read the RevenueCat key from standard input."),
    ):
        command = option(command)
    return command


@click.command()
@click.option("--team", metavar="NAME", required=True, help="The new team.")
@click.option("--admin-email", metavar="EMAIL", required=True, help="Who will own it; made if there is no such user.")
@click.option("--project", metavar="NAME", required=True, help="Its first project.")
@key_options
@owner_options
@click.pass_obj
def setup(
    session: Session,
    team: str,
    admin_email: str,
    project: str,
    revenuecat_key_stdin: bool,
    revenuecat_project_id: str | None,
) -> None:
    """Make a team with an owner, a project and an agent key, which is shown this once.

    Without --revenuecat-key-stdin a person is asked for the RevenueCat key, and may leave it out.

    \b
    Examples:
      nightshift system setup --team Acme --admin-email ada@example.com --project "Acme iOS"
    """
    made = session.ops.set_up(
        "setup",
        team=team,
        admin_email=admin_email,
        project=project,
        revenuecat_key=_revenuecat_key(from_stdin=revenuecat_key_stdin),
        revenuecat_project_id=revenuecat_project_id,
    )
    _show_key(session, made)


@click.command("revenuecat-key")
@click.argument("team", metavar="TEAM")
@click.argument("project", metavar="PROJECT")
@key_options
@owner_options
@click.pass_obj
def revenuecat_key(
    session: Session, team: str, project: str, revenuecat_key_stdin: bool, revenuecat_project_id: str | None
) -> None:
    """Store a project's RevenueCat key, in the place of the one that may be there.

    TEAM and PROJECT are their slugs. A sync that is under way goes on with the new key.

    \b
    Examples:
      nightshift system revenuecat-key acme acme-ios --revenuecat-key-stdin < key.txt
    """
    key = _revenuecat_key(from_stdin=revenuecat_key_stdin)
    if key is None:
        raise Misconfigured("There is no RevenueCat key to store. A script gives it: --revenuecat-key-stdin < FILE.")
    stored = session.ops.set_up(
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


@click.command("agent-key")
@click.argument("team", metavar="TEAM")
@click.option("--ends", metavar="PREFIX", help="End the key that begins so: owl_agent_ and four characters.")
@owner_options
@click.pass_obj
def agent_key(session: Session, team: str, ends: str | None) -> None:
    """Make another agent key of TEAM, which is shown this once; with --ends, in the place of one.

    \b
    Examples:
      nightshift system agent-key acme
      nightshift system agent-key acme --ends owl_agent_x7Qz
    """
    _show_key(session, session.ops.set_up("agent_key", team=team, ends=ends))


def _show_key(session: Session, made: dict[str, str]) -> None:
    if session.output.as_json:
        session.output.document(made)
        return
    session.output.facts([(name.replace("_", " "), value) for name, value in made.items()])
    session.output.say("Keep the agent key now: it cannot be shown again.")


def _revenuecat_key(*, from_stdin: bool) -> str | None:
    """Never an argument: the process list and the shell's history would keep it."""
    stdin = sys.stdin
    if from_stdin:
        if key := stdin.readline().strip():
            return key
        raise Misconfigured("There is no RevenueCat key on standard input.")
    if not stdin.isatty():
        return None
    asked: str = click.prompt("RevenueCat v2 secret key (empty for none)", hide_input=True, default="", err=True)
    return asked.strip() or None
