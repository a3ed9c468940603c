"""nightshift whoami, projects, members and job-types: everything that a token gives access to."""

from collections.abc import Sequence
from typing import Any

import click

from nightshift_cli.base.choices import MOST, all_option, matching, search_option
from nightshift_cli.base.text import clean
from nightshift_cli.session import Session, common_options, teams_of
from nightshift_cli.show.param_table import HEADERS as PARAMS
from nightshift_cli.show.param_table import param_rows
from nightshift_cli.show.run_rows import pause_words
from nightshift_cli.values import Name

PROJECTS = ("SLUG", "ID", "NAME")
APPS = ("PLATFORM", "ID", "BUNDLE", "NAME")
MEMBERS = ("KIND", "ROLE", "ID", "NAME")


@click.command()
@click.option("--search", metavar="TEXT", help="Only teams whose name or slug contains TEXT.")
@common_options
@click.pass_obj
def whoami(session: Session, search: str | None) -> None:
    """Show the token's owner, and the source of the token and of the API's URL.

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
    teams = [_team(team) for team in teams_of(me)]
    found = [team for team in teams if (search or "").casefold() in team.casefold()]
    facts += [("team", team) for team in found[:MOST]]
    if len(found) > MOST:
        facts.append(("", f"and {len(found) - MOST:,} more; search with --search TEXT"))
    elif search and not found:
        facts.append(("team", f"none of {len(teams):,} contains {search!r}"))
    if isinstance(me.get("permissions"), list):
        facts.append(("permissions", ", ".join(map(clean, me["permissions"]))))
    facts += [("api", f"{session.api.url}, from {session.config.api_from}"), ("token from", session.config.token_from)]
    session.output.facts(facts)


@click.command()
@click.argument("project", required=False, type=Name())
@search_option
@all_option
@common_options
@click.pass_obj
def projects(session: Session, project: str | None, search: str | None, every_one: bool) -> None:
    """List the team's projects, or show one with its apps.

    PROJECT is an id or a slug.

    \b
    Examples:
      nightshift projects
      nightshift projects acme
      nightshift projects --search ios
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
        cells = [[row.get(name) for name in ("slug", "id", "name")] for row in rows]
        _show_matching(session, cells, headers=PROJECTS, search=search, every_one=every_one)


@click.command()
@search_option
@all_option
@common_options
@click.pass_obj
def members(session: Session, search: str | None, every_one: bool) -> None:
    """List the team's members and API keys.

    The list covers everyone who may have started a run, so it includes deleted keys.

    \b
    Examples:
      nightshift members
      nightshift members --search @example.com
      nightshift members --format json
    """
    answer = session.api.members(session.team_id)
    if session.output.as_json:
        session.output.document(answer)
        return
    people = [("user", row.get("role"), row.get("id"), row.get("email")) for row in answer["members"]]
    # Keys have no role, and most keys have no name.
    keys = [("key", "", row.get("id"), row.get("name")) for row in answer["api_keys"]]
    _show_matching(session, [*people, *keys], headers=MEMBERS, search=search, every_one=every_one)


@click.command("job-types")
@common_options
@click.pass_obj
def job_types(session: Session) -> None:
    """List the job types that can be triggered, and their parameters.

    For a paused job type, the list shows who paused it, and why.

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
        if provider := job_type.get("provider"):
            session.output.say(f"Needs a key of {clean(provider)}: nightshift integrations add")
        if rows := param_rows(job_type.get("params")):
            session.output.table(rows, headers=PARAMS, wrap=True)
    if not known:
        session.output.say("No job types.")


def _team(team: dict[str, Any]) -> str:
    role = f", {clean(team['role'])}" if team.get("role") else ""
    return f"{clean(team.get('slug'))} ({clean(team.get('name'))}{role}) {clean(team.get('id'))}"


def _show_matching(
    session: Session,
    rows: Sequence[Sequence[object]],
    *,
    headers: Sequence[str],
    search: str | None,
    every_one: bool,
) -> None:
    """Show a table of the rows that contain ``search``, and a line about the rows left out."""
    notes: list[str] = []
    if found := matching(rows, search=search, every_one=every_one, say=notes.append):
        session.output.table(found, headers=headers)
    for note in notes:
        session.output.say(note)


def _show_project(session: Session, project: dict[str, Any]) -> None:
    if session.output.as_json:
        session.output.document(project)
        return
    session.output.facts([(clean(name).replace("_", " "), of) for name, of in project.items() if name != "apps"])
    if project["apps"]:
        rows = [[app.get(name) for name in ("platform", "id", "bundle_id", "name")] for app in project["apps"]]
        session.output.table(rows, headers=APPS)
