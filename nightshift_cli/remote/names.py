"""Names for the ids in a run: slugs of projects, names of people and keys."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nightshift.jobs.registry import JOB_TYPES
from nightshift_cli.base.failures import Failure
from nightshift_cli.base.text import clean
from nightshift_cli.remote.api import Api

SHORT = 8

OTHERS = {
    "system": "the operator",
    "soft_delete_cleanup": "the cleanup, because the project or team was deleted",
    "sweep": "the sweep, because the project or team was deleted",
}


@dataclass(frozen=True)
class Names:
    """A map from ids to names. An unknown id is shortened."""

    projects: Mapping[str, str] = field(default_factory=dict)
    people: Mapping[str, str] = field(default_factory=dict)

    def project(self, run: Mapping[str, Any]) -> str:
        project_id = clean(run.get("project_id"))
        return self.projects.get(project_id, project_id[:SHORT])

    def starter(self, run: Mapping[str, Any]) -> str:
        return self.person(run.get("triggered_by"))

    def person(self, by: object) -> str:
        """Return a name for ``manual:user:<id>`` or ``manual:api_key:<id>``. ``system`` is the operator."""
        by = clean(by)
        if by in OTHERS:
            return OTHERS[by]
        if by in self.people or not by.startswith("manual:"):
            return self.people.get(by, by)
        kind, _, id = by.removeprefix("manual:").partition(":")
        return f"{kind.removeprefix('api_')} {id[:SHORT]}".strip()

    def actor(self, actor: object) -> str:
        """Return a name for ``user:<id>`` or ``api_key:<id>``, as the audit has it. ``operator`` is the operator."""
        return OTHERS["system"] if actor == "operator" else self.person(f"manual:{clean(actor)}")


NOBODY = Names()


def names_of(runs: Iterable[Mapping[str, Any]], *, team_id: str, api: Api) -> Names:
    """Look up the names: one request for each hundred projects and one for people, if the runs refer to any.

    A failed request is ignored: the ids are shown instead.
    """
    projects, people = dict[str, str](), dict[str, str]()
    runs = list(runs)
    if ids := sorted({clean(run["project_id"]) for run in runs if run.get("project_id")}):
        with contextlib.suppress(Failure):
            found = api.projects_by_id(team_id, ids, attempts=1)
            projects = {clean(each.get("id")): clean(each.get("slug")) for each in found}
    if any(clean(run.get("triggered_by")).startswith("manual:") for run in runs):
        people = dict(people_of(team_id, api=api).people)
    return Names({key: name for key, name in projects.items() if name}, people)


def people_of(team_id: str, *, api: Api) -> Names:
    """Look up the names of the team's people and keys. A failed request is ignored: the ids are shown instead."""
    people = dict[str, str]()
    with contextlib.suppress(Failure):
        known = api.members(team_id, attempts=1)
        people = {f"manual:user:{clean(each.get('id'))}": clean(each.get("email")) for each in known["members"]}
        people |= {f"manual:api_key:{clean(each.get('id'))}": _key(each) for each in known["api_keys"]}
    return Names(people={key: name for key, name in people.items() if name})


def _key(key: Mapping[str, Any]) -> str:
    """Return the key's name, or the beginning of its id."""
    return clean(key.get("name")) or f"key {clean(key.get('id'))[:SHORT]}"


def label_of(job_type: object) -> str:
    """Return the label of a job type; its name if this release does not know it."""
    known = JOB_TYPES.get(clean(job_type))
    return known.label if known else clean(job_type)
