"""What a token opens: nightshift whoami, projects, members and job-types."""

from typing import Any

import click

from cli.output import clean
from cli.pausing import pause_words
from cli.schema import HEADERS as PARAMS
from cli.schema import param_rows
from cli.session import Session, common_options, teams_of
from cli.values import Name

PROJECTS = ("SLUG", "ID", "NAME")
APPS = ("PLATFORM", "ID", "BUNDLE", "NAME")
MEMBERS = ("KIND", "ROLE", "ID", "NAME")


@click.command()
@common_options
@click.pass_obj
def whoami(session: Session) -> None:
    """Show whose token this is, and where it and the URL come from.

    \b
    Examples:
      nightshift whoami
      nightshift whoami --profile staging
    """
    me = session.api.whoami()
    if session.output.as_json:
        session.output.document(me)
        return
    who = me.get("email") or f"{clean(me.get('key_type'))} key"
    facts: list[tuple[str, object]] = [("you are", who)]
    for team in teams_of(me):
        role = f", {clean(team['role'])}" if team.get("role") else ""
        facts.append(("team", f"{clean(team.get('slug'))} ({clean(team.get('name'))}{role}) {clean(team.get('id'))}"))
    if isinstance(me.get("permissions"), list):
        facts.append(("may", ", ".join(map(clean, me["permissions"]))))
    facts += [("api", f"{session.api.url}, from {session.config.api_from}"), ("token from", session.config.token_from)]
    session.output.facts(facts)


@click.command()
@click.argument("project", required=False, type=Name())
@common_options
@click.pass_obj
def projects(session: Session, project: str | None) -> None:
    """List the team's projects, or show one with its apps.

    PROJECT is an id or a slug.

    \b
    Examples:
      nightshift projects
      nightshift projects acme
    """
    if project:
        _show_project(session, session.api.project(session.project_id(project)))
        return
    rows = session.api.projects(session.team_id)
    if session.output.as_json:
        session.output.document({"projects": rows})
    elif not rows:
        session.output.say("No projects.")
    else:
        session.output.table([[row.get(name) for name in ("slug", "id", "name")] for row in rows], headers=PROJECTS)


@click.command()
@common_options
@click.pass_obj
def members(session: Session) -> None:
    """List the team's people and API keys.

    They are those who can have started a run; keys that were deleted are among them.

    \b
    Examples:
      nightshift members
      nightshift members --format json
    """
    answer = session.api.members(session.team_id)
    if session.output.as_json:
        session.output.document(answer)
        return
    people = [("user", row.get("role"), row.get("id"), row.get("email")) for row in answer["members"]]
    # Keys have no role, and most no name.
    keys = [("key", "", row.get("id"), row.get("name")) for row in answer["api_keys"]]
    session.output.table([*people, *keys], headers=MEMBERS)


@click.command("job-types")
@common_options
@click.pass_obj
def job_types(session: Session) -> None:
    """List what can be triggered, and with which parameters.

    Of a type that is paused it says who did it, and why.

    \b
    Examples:
      nightshift job-types
    """
    known = session.api.job_types()
    if session.output.as_json:
        session.output.document({"job_types": known})
        return
    for number, job_type in enumerate(known):
        if number:
            session.output.say("")
        session.output.say(f"{clean(job_type.get('job_type'))}: {clean(job_type.get('label'))}")
        session.output.say(clean(job_type.get("description")))
        if isinstance(pause := job_type.get("paused"), dict):
            session.output.say(f"Paused {pause_words(pause)}")
        if rows := param_rows(job_type.get("params")):
            session.output.table(rows, headers=PARAMS, wrap=True)
    if not known:
        session.output.say("No job types.")


def _show_project(session: Session, project: dict[str, Any]) -> None:
    if session.output.as_json:
        session.output.document(project)
        return
    session.output.facts([(clean(name).replace("_", " "), of) for name, of in project.items() if name != "apps"])
    if project["apps"]:
        rows = [[app.get(name) for name in ("platform", "id", "bundle_id", "name")] for app in project["apps"]]
        session.output.table(rows, headers=APPS)
