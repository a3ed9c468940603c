"""The options that choose runs, for lists and for bulk actions, and the values that the API gets for them."""

from collections.abc import Callable
from typing import Any

import click

from nightshift_cli.base.choices import alike, some
from nightshift_cli.base.failures import Misconfigured
from nightshift_cli.commands.completed import ProjectName
from nightshift_cli.remote.names import people_of
from nightshift_cli.session import Session
from nightshift_cli.show.run_rows import STATUSES
from nightshift_cli.values import JobTypeName, Name, PastMoment

NAMES = ("job_type", "status", "project", "since", "until", "triggered_by", "error", "with_param")


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose runs."""
    for option in reversed(
        (
            click.option(
                "--type", "job_type", metavar="JOB_TYPE", type=JobTypeName(), help="Only runs of this job type."
            ),
            click.option(
                "--status",
                type=click.Choice(STATUSES),
                multiple=True,
                help="Only runs in this status; may be repeated.",
            ),
            click.option("--project", metavar="ID_OR_SLUG", type=ProjectName(), help="Only runs of this project."),
            click.option(
                "--since",
                metavar="TIME",
                type=PastMoment(),
                help="Created at or after TIME: local time, ISO 8601, or an age such as 30m, 1h, 7d.",
            ),
            click.option(
                "--until", metavar="TIME", type=PastMoment(), help="Created at or before TIME, in the same format."
            ),
            click.option(
                "--by",
                "triggered_by",
                metavar="WHO",
                type=Name(),
                help="Only runs that WHO triggered: me, schedule, a mail address, the name of a key, or an id.",
            ),
            click.option("--error", metavar="TEXT", type=Name(), help="Only runs whose error contains TEXT."),
            click.option(
                "--with-param",
                metavar="TEXT",
                type=Name(),
                help="Only runs with this parameter, as NAME=VALUE, or with TEXT in their parameters.",
            ),
        )
    ):
        command = option(command)
    return command


def filters_of(given: dict[str, Any], *, session: Session) -> dict[str, str]:
    """Return the filters as the API takes them, without those that were not given."""
    filters = {
        "job_type": given["job_type"],
        "status": ",".join(given["status"]),
        "project_id": session.project_id(given["project"]) if given["project"] else None,
        "since": given["since"],
        "until": given["until"],
        "triggered_by": _caller(given["triggered_by"], session=session) if given["triggered_by"] else None,
        "error": given["error"],
        "params": given["with_param"],
    }
    return {name: value for name, value in filters.items() if value}


def _caller(wanted: str, *, session: Session) -> str:
    """Return the caller as the API takes them. Raise Misconfigured if the team has none or several of this name."""
    if wanted in ("me", "schedule"):
        return wanted
    people = people_of(session.team_id, api=session.api).people
    found = [who for who, name in people.items() if wanted.casefold() in (name.casefold(), who, who.split(":")[-1])]
    if len(found) == 1:
        return found[0]
    known = ["me", "schedule", *people.values()]
    if found:
        raise Misconfigured(f"Several keys are called {wanted!r}. Give the id of one: {some(found)}.")
    like = alike(wanted, known)
    raise Misconfigured(
        f"This team has no member or key {wanted!r}. {'Similar' if like else 'Known'}: {some(like or known)}."
    )
