"""What a token opens: nightshift whoami, projects and job-types."""

from typing import Any

import click

from cli.output import clean
from cli.session import Session, common_options, teams_of


@click.command()
@common_options
@click.pass_obj
def whoami(session: Session) -> None:
    """Show whose token this is, for which teams, and where it and the API's URL come from.

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
@common_options
@click.pass_obj
def projects(session: Session) -> None:
    """List the team's projects."""
    rows = session.api.projects(session.team_id)
    _show(session, rows, columns=("slug", "id", "name"), key="projects")


@click.command("job-types")
@common_options
@click.pass_obj
def job_types(session: Session) -> None:
    """List the job types that can be triggered, with their parameters."""
    rows = session.api.job_types()
    _show(session, rows, columns=("job_type", "label", "params", "description"), key="job_types")


def _show(session: Session, rows: list[dict[str, Any]], *, columns: tuple[str, ...], key: str) -> None:
    if session.output.as_json:
        session.output.document({key: rows})
    elif not rows:
        session.output.say(f"No {key.replace('_', ' ')}.")
    else:
        cells = [[_cell(row.get(column)) for column in columns] for row in rows]
        session.output.table(cells, headers=[column.upper().replace("_", " ") for column in columns], wrap=True)


def _cell(value: object) -> object:
    """A JSON Schema as the names of its properties with their types, anything else as it is."""
    if isinstance(value, dict):
        properties = value.get("properties")
        if not isinstance(properties, dict):
            return ""
        return ", ".join(f"{name}={clean(kind.get('type'))}" for name, kind in properties.items())
    return value
