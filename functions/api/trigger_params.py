"""The job type and the params of a trigger, checked."""

from typing import Any, TypedDict

from api.parsing import parse_uuid, validate
from nightshift.base.errors import Refused
from nightshift.base.validation import shown
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import job_type


class TriggerParams(TypedDict):
    """The params that a run is stored with, and those among them that the caller gave."""

    params: dict[str, Any]
    asked: dict[str, Any]


def project_job_type(name: object) -> JobType:
    """Return the job type. Raise Refused if there is no such type, or if it is a system job's."""
    wanted = job_type(name)
    if wanted.scope == "system":
        raise Refused(f'Cannot trigger system job "{wanted.name}" via API')
    return wanted


def checked_params(wanted: JobType, params: dict[str, Any], *, project_id: str) -> TriggerParams:
    """Validate the params. A ``project_id`` in them must be the run's own: params must not widen what a run reaches."""
    params = dict(params)
    named = params.pop("project_id", project_id)
    if parse_uuid("params.project_id", named) != project_id:
        raise Refused(f"params.project_id must be the run's own project {project_id}, got {shown(named)}")
    model = validate(wanted.params_model(), params, prefix="params")
    return {
        "params": {"project_id": project_id} | model.model_dump(mode="json"),
        "asked": model.model_dump(mode="json", exclude_unset=True),
    }
