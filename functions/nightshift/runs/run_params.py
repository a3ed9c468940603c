"""The parameters of a run: validated, with their defaults, and never beyond the run's own project."""

from typing import Any, TypedDict

from nightshift.base.errors import JobError, Refused
from nightshift.base.validation import parse_uuid, shown, validate
from nightshift.jobs.job_type import JobType


class RunParams(TypedDict):
    """The parameters that a run is stored with, and those among them that the caller gave."""

    params: dict[str, Any]
    asked: dict[str, Any]


def check_params(job_type: JobType, params: dict[str, Any], *, project_id: str | None = None) -> RunParams:
    """Validate the parameters of a new run. ``project_id`` is the run's own project; a system job has none.

    Raise Refused with the first invalid field. A ``project_id`` among the parameters of a project's job must be the
    run's own: parameters must not widen what a run reaches.
    """
    own = {}
    if project_id is not None:
        params = dict(params)
        named = params.pop("project_id", project_id)
        if parse_uuid("params.project_id", named) != project_id:
            raise Refused(f"params.project_id must be the run's own project {project_id}, got {shown(named)}")
        own = {"project_id": project_id}
    model = validate(job_type.params_model(), params, prefix="params")
    return {
        "params": own | model.model_dump(mode="json"),
        "asked": model.model_dump(mode="json", exclude_unset=True),
    }


def check_stored_params(job_type: JobType, params: dict[str, Any], *, project_id: str | None = None) -> RunParams:
    """Validate the parameters of an earlier run, which another release may have stored.

    Raise Refused with a sentence that says so.
    """
    try:
        return check_params(job_type, params, project_id=project_id)
    except Refused as exc:
        raise Refused(f"The run's parameters no longer fit {job_type.label}: {exc}") from None


def params_of_slice(job_type: JobType, params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that a slice works with: the stored ones, and defaults of those that this release added.

    Raises JobError with the first parameter that this release does not accept: the job's code would meet it in the
    middle of its work. A parameter that this release does not know is left to the job, which does not ask for it.
    """
    if not job_type.takes_params:
        return params
    model = job_type.params_model()
    names = {name for field, info in model.model_fields.items() for name in (field, info.alias) if name}
    try:
        validate(model, {name: value for name, value in params.items() if name in names}, prefix="params")
    except Refused as exc:
        raise JobError(
            f"The run's parameters no longer fit {job_type.label}: {exc}. Run it again with other parameters"
        ) from None
    return job_type.with_defaults(params)
