"""The operation that lists the job types that callers can trigger."""

from typing import Any

from api.operations import operation
from api.request import Request
from nightshift.database.queries import database
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs.pauses import list_pauses


@operation("GET", "/v1/job-types", summary="Job types that can be triggered", answer="JobTypes", errors=(401,))
def list_job_types(request: Request) -> dict[str, Any]:
    request.caller()
    paused = {pause.job_type: pause.as_json() for pause in list_pauses(database()) if pause.what == "type"}
    return {
        "job_types": [
            {
                "job_type": known.name,
                "label": known.label,
                "description": known.description,
                "params": known.params_model().model_json_schema(),
                "provider": known.provider,
                "paused": paused.get(known.name),
            }
            for known in JOB_TYPES.values()
            if known.scope == "project"
        ]
    }
