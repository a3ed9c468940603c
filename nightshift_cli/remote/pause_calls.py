"""The requests about the pauses of a project's jobs."""

from typing import Any
from urllib.parse import quote

from nightshift_cli.remote.api import Api


def pauses_of(project_id: str, *, api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.call("GET", _path(project_id), pauses=list)["pauses"]
    return found


def pause(project_id: str, job_type: str, body: dict[str, Any], *, api: Api) -> dict[str, Any]:
    made: dict[str, Any] = api.call("PUT", _path(project_id, job_type), body=body, pause=dict)["pause"]
    return made


def resume(project_id: str, job_type: str, *, api: Api) -> dict[str, Any]:
    # Not repeated: a repeat would say that there is no pause.
    return api.call("DELETE", _path(project_id, job_type), attempts=1, deleted=bool)


def _path(*ids: str) -> str:
    project_id, *job_type = (quote(each, safe="") for each in ids)
    return "/".join(["/v1/projects", project_id, "pauses", *job_type])
