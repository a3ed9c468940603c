"""What the owner of the server does, and no role in the API could: ask a stack, or set up on the database."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import click
from pg8000.exceptions import DatabaseError

from cli.checks import deadletters, doctor, health
from cli.config import local_stack
from cli.errors import Misconfigured
from cli.logs import logs
from cli.owner import cancel, runs, schedules, trigger, view
from cli.pausing import pause, resume
from cli.session import Session, database_options, owner_options
from nightshift.database import Database
from nightshift.errors import NightshiftError, sentence
from nightshift.settings import Settings

# The owner of the tables, where DATABASE_USER does not name another. The functions' own role cannot make teams.
OWNER = "postgres"


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


@click.group()
@owner_options
def system() -> None:
    """What the owner of the server does.

    Most commands ask a stack: the deployed one that --stack names, with your AWS credentials, which may be allowed no
    more than cloudformation:DescribeStackResource on it and lambda:InvokeFunction on its OpsFunction; without --stack
    the running local one.

    setup, agent-key and revenuecat-key work on the database: the one of DATABASE_HOST, _PORT, _NAME, _USER,
    _PASSWORD and _CA_FILE; without DATABASE_HOST, the running local stack's. A provider's key is encrypted with the
    KMS key INTEGRATIONS_KEY_ID, which is an output of the deployed stack.
    """


for command in (runs, view, logs, trigger, cancel, pause, resume, schedules, health, deadletters, doctor):
    system.add_command(command)


@system.command()
@database_options
@click.option("--team", "team_name", metavar="NAME", required=True, help="The new team.")
@click.option("--admin-email", metavar="EMAIL", required=True, help="Who will own it; made if there is no such user.")
@click.option("--project", "project_name", metavar="NAME", required=True, help="Its first project.")
@key_options
@click.pass_obj
def setup(
    session: Session,
    team_name: str,
    admin_email: str,
    project_name: str,
    revenuecat_key_stdin: bool,
    revenuecat_project_id: str | None,
) -> None:
    """Make a team with an owner, a project and an agent key, which is shown this once.

    Without --revenuecat-key-stdin a person is asked for the RevenueCat key, and may leave it out.
    """
    from nightshift.setup import setup_team

    _refuse_stack(session)
    settings = _settings()
    with _connected(settings) as db:
        key = _revenuecat_key(settings, from_stdin=revenuecat_key_stdin)
        made = setup_team(
            db,
            team_name=team_name,
            admin_email=admin_email,
            project_name=project_name,
            revenuecat_key=key,
            revenuecat_project_id=revenuecat_project_id,
        )
    if session.output.as_json:
        session.output.document(asdict(made))
    else:
        session.output.facts([(name.replace("_", " "), value) for name, value in asdict(made).items()])
        session.output.say("Keep the agent key now: it cannot be shown again.")


@system.command("revenuecat-key")
@database_options
@click.argument("team_slug", metavar="TEAM")
@click.argument("project_slug", metavar="PROJECT")
@key_options
@click.pass_obj
def revenuecat_key(
    session: Session,
    team_slug: str,
    project_slug: str,
    revenuecat_key_stdin: bool,
    revenuecat_project_id: str | None,
) -> None:
    """Store a project's RevenueCat key, in the place of the one that may be there.

    TEAM and PROJECT are their slugs. A sync that is under way goes on with the new key.
    """
    from nightshift.setup import find_project, store_revenuecat_key

    _refuse_stack(session)
    settings = _settings()
    with _connected(settings) as db:
        project_id = find_project(db, team_slug=team_slug, project_slug=project_slug)
        key = _revenuecat_key(settings, from_stdin=revenuecat_key_stdin)
        if key is None:
            raise Misconfigured("There is no RevenueCat key to store.")
        store_revenuecat_key(db, project_id=project_id, key=key, revenuecat_project_id=revenuecat_project_id)
    if session.output.as_json:
        session.output.document({"project_id": project_id})
    else:
        session.output.say(f"Stored the RevenueCat key of {team_slug}/{project_slug}.")


@system.command("agent-key")
@database_options
@click.argument("team_slug", metavar="TEAM")
@click.option("--ends", metavar="PREFIX", help="End the key that begins so: owl_agent_ and four characters.")
@click.pass_obj
def agent_key(session: Session, team_slug: str, ends: str | None) -> None:
    """Make another agent key of TEAM, which is shown this once; with --ends, in the place of one."""
    from nightshift.setup import replace_agent_key

    _refuse_stack(session)
    with _connected(_settings()) as db:
        key = replace_agent_key(db, team_slug=team_slug, ends=ends)
    if session.output.as_json:
        session.output.document({"agent_key": key})
    else:
        session.output.facts([("agent key", key)])
        session.output.say("Keep the agent key now: it cannot be shown again.")


@contextmanager
def _connected(settings: Settings) -> Iterator[Database]:
    """A connection that answers; what goes wrong on the way to the database or to KMS is told in a sentence."""
    from botocore.exceptions import BotoCoreError, ClientError

    db = Database(settings)
    try:
        # Before anybody is asked for a secret that could not be stored.
        db.query("ping")
        yield db
    except NightshiftError as exc:
        raise Misconfigured(str(exc)) from exc
    except DatabaseError as exc:
        raise Misconfigured(f"The database refused: {sentence(exc)}.") from exc
    except (BotoCoreError, ClientError) as exc:
        raise Misconfigured(f"KMS did not encrypt the RevenueCat key, so nothing was stored: {exc}") from exc
    finally:
        db.close()


def _refuse_stack(session: Session) -> None:
    if session.flags.get("stack"):
        raise Misconfigured("--stack does not reach a database. Set DATABASE_HOST and INTEGRATIONS_KEY_ID.")


def _revenuecat_key(settings: Settings, *, from_stdin: bool) -> str | None:
    """Never an argument: the process list and the shell's history would keep it.

    Raises Misconfigured where there is one and nothing says with which KMS key to encrypt it.
    """
    key = _typed_key(from_stdin=from_stdin)
    if key and not settings.integrations_key_id:
        raise Misconfigured("INTEGRATIONS_KEY_ID is not set: the KMS key that encrypts RevenueCat keys.")
    return key


def _typed_key(*, from_stdin: bool) -> str | None:
    stdin = sys.stdin
    if from_stdin:
        if key := stdin.readline().strip():
            return key
        raise Misconfigured("There is no RevenueCat key on standard input.")
    if not stdin.isatty():
        return None
    asked: str = click.prompt("RevenueCat v2 secret key (empty for none)", hide_input=True, default="", err=True)
    return asked.strip() or None


def _settings() -> Settings:
    """Raises Misconfigured when nothing says which database."""
    if not os.environ.get("DATABASE_HOST"):
        _use_local_stack()
    elif region := os.environ.get("AWS_REGION"):
        # For KMS: boto3 knows this name alone.
        os.environ["AWS_DEFAULT_REGION"] = region
    os.environ.setdefault("DATABASE_USER", OWNER)
    try:
        return Settings.from_environment()
    except NightshiftError as exc:
        raise Misconfigured(str(exc)) from exc


def _use_local_stack() -> None:
    stack = local_stack(Path.cwd())
    if not stack:
        raise Misconfigured("No database to work on. Set DATABASE_HOST, or start the local stack with `make run`.")
    database = urlsplit(stack.get("database_url", ""))
    aws = stack.get("aws_endpoint_url", "")
    # A file that came with somebody's folder must not decide where a provider's key is sent.
    if database.hostname != "127.0.0.1" or urlsplit(aws).hostname != "127.0.0.1":
        raise Misconfigured(".local/stack.json names a server that is not on this machine. Set DATABASE_HOST instead.")
    # Settings and AWS clients are made from the environment.
    os.environ |= {
        "DATABASE_HOST": str(database.hostname),
        "DATABASE_PORT": str(database.port),
        "DATABASE_NAME": database.path.removeprefix("/"),
        "DATABASE_USER": str(database.username),
        "INTEGRATIONS_KEY_ID": stack.get("integrations_key_id", ""),
        "AWS_ENDPOINT_URL": aws,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
