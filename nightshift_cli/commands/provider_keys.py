"""nightshift integrations: the providers' keys of a project, which nothing shows again."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import click

from nightshift_cli.base.group import Group
from nightshift_cli.base.hidden import read_hidden
from nightshift_cli.base.text import clean
from nightshift_cli.commands.completed import ProjectName
from nightshift_cli.commands.outcome import report_run
from nightshift_cli.commands.run_options import wait_option
from nightshift_cli.session import Session, common_options
from nightshift_cli.show.times import minute
from nightshift_cli.values import Name, Param, by_name

HEADERS = ("PROVIDER", "STATE", "CONFIG", "CHANGED")
# The field of the config that holds the key.
KEY = "api_key"

provider_argument = click.argument("provider", metavar="PROVIDER", type=Name())
project_option = click.option(
    "--project", metavar="ID_OR_SLUG", type=ProjectName(), help="The project; needed if the team has several."
)
config_option = click.option(
    "--config",
    "config",
    multiple=True,
    type=Param(),
    callback=by_name,
    help="A field of the provider's config, such as project_id; null takes it out.",
)
stdin_option = click.option("--key-stdin", is_flag=True, help="Read the key from standard input.")


@click.group(cls=Group)
def integrations() -> None:
    """Store, test and remove the keys with which jobs call providers, such as RevenueCat.

    Only the team's admins, and keys with the permission integrations:write, may use these commands. A key is encrypted
    for its project and cannot be read again.

    \b
    Examples:
      nightshift integrations list
      nightshift integrations add revenuecat --key-stdin < key.txt
    """


@integrations.command("list")
@project_option
@common_options
@click.pass_obj
def list_integrations(session: Session, project: str | None) -> None:
    """List the integrations of a project, and the providers that it has no key of.

    \b
    Examples:
      nightshift integrations list
      nightshift integrations list --project acme --format json
    """
    answer = session.api.integrations(session.project_id(project))
    if session.output.as_json:
        session.output.document(answer)
        return
    rows = [_row(each) for each in answer["integrations"]]
    if rows:
        session.output.table(rows, headers=HEADERS)
    known = {each.get("provider") for each in answer["integrations"]}
    for provider in answer["providers"]:
        if (name := provider.get("provider")) not in known:
            session.output.say(
                f"No {clean(provider.get('label'))} key. Add one: nightshift integrations add {clean(name)}"
            )


@integrations.command()
@provider_argument
@project_option
@config_option
@stdin_option
@common_options
@click.pass_obj
def add(session: Session, provider: str, project: str | None, config: dict[str, Any], key_stdin: bool) -> None:
    """Store a key of PROVIDER, and show what the provider lets it read.

    The command prompts for the key without showing it, or reads it from standard input. The key is stored even if its
    test fails.

    \b
    Examples:
      nightshift integrations add revenuecat --key-stdin < key.txt
      nightshift integrations add revenuecat --project acme --config project_id=proj1ab2c3d4 --key-stdin < key.txt
    """
    key = _key(from_stdin=key_stdin)
    made = session.api.add_integration(session.project_id(project), provider, config | {KEY: key})
    _tell(session, made, f"Stored the key of {provider}.")


@integrations.command()
@provider_argument
@project_option
@config_option
@stdin_option
@common_options
@click.pass_obj
def change(session: Session, provider: str, project: str | None, config: dict[str, Any], key_stdin: bool) -> None:
    """Replace the key of PROVIDER, or change its config. A running sync continues with the new key.

    Without --config, the command asks for a new key. With --config alone, the key stays as it is.

    \b
    Examples:
      nightshift integrations change revenuecat --key-stdin < key.txt
      nightshift integrations change revenuecat --config project_id=proj1ab2c3d4
    """
    given = config if config and not key_stdin else config | {KEY: _key(from_stdin=key_stdin)}
    changed = session.api.change_integration(session.project_id(project), provider, {"config": given})
    _tell(session, changed, f"Changed the integration of {provider}.")


@integrations.command()
@provider_argument
@project_option
@common_options
@click.pass_obj
def disable(session: Session, provider: str, project: str | None) -> None:
    """Refuse runs that need the key of PROVIDER, but keep the key. A running sync ends with a sentence.

    \b
    Examples:
      nightshift integrations disable revenuecat
    """
    changed = session.api.change_integration(session.project_id(project), provider, {"enabled": False})
    _tell(session, changed, f"Disabled the integration of {provider}. Runs that need its key are refused.")


@integrations.command()
@provider_argument
@project_option
@common_options
@click.pass_obj
def enable(session: Session, provider: str, project: str | None) -> None:
    """Let runs use the key of PROVIDER again.

    \b
    Examples:
      nightshift integrations enable revenuecat
    """
    changed = session.api.change_integration(session.project_id(project), provider, {"enabled": True})
    _tell(session, changed, f"Enabled the integration of {provider}.")


@integrations.command()
@provider_argument
@project_option
@common_options
@click.pass_obj
def remove(session: Session, provider: str, project: str | None) -> None:
    """Remove the integration of PROVIDER and its key. A running sync ends with a sentence.

    \b
    Examples:
      nightshift integrations remove revenuecat
    """
    answer = session.api.delete_integration(session.project_id(project), provider)
    if session.output.as_json:
        session.output.document(answer)
    else:
        session.output.say(f"Removed the integration of {provider}.")


@integrations.command()
@provider_argument
@project_option
@wait_option
@common_options
@click.pass_obj
def test(session: Session, provider: str, project: str | None, wait: bool) -> None:
    """Test the stored key of PROVIDER with a run: only the worker can decrypt it.

    \b
    Examples:
      nightshift integrations test revenuecat
      nightshift integrations test revenuecat --wait
    """
    request = {
        "job_type": "integration_check",
        "project_id": session.project_id(project),
        "params": {"provider": provider},
    }
    run = session.api.trigger(session.team_id, request, idempotency_key=str(uuid4()))
    report_run(run, api=session.api, session=session, wait=wait)


def _row(integration: Mapping[str, Any]) -> tuple[object, ...]:
    config = integration.get("config")
    fields = config.items() if isinstance(config, dict) else ()
    shown = ", ".join(f"{clean(name)}={clean(value)}" for name, value in fields if name != KEY)
    state = "enabled" if integration.get("enabled") else "disabled"
    return integration.get("provider"), state, shown, minute(integration.get("updated_at"))


def _tell(session: Session, answer: dict[str, Any], sentence: str) -> None:
    if session.output.as_json:
        session.output.document(answer)
        return
    session.output.say(sentence)
    if isinstance(report := answer.get("test"), dict):
        session.output.say(clean(report.get("says")))


def _key(*, from_stdin: bool) -> str:
    return read_hidden("key", option="--key-stdin", from_stdin=from_stdin)
