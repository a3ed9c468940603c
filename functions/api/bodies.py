"""Models of request bodies. Handlers import them when needed: pydantic adds a tenth of a second to a cold start."""

from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model

from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class TriggerBody(Body):
    """Start a run."""

    job_type: str
    project_id: Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
    params: dict[str, Any] | None = Field(default=None, description="See the job type's schema in GET /v1/job-types")
    notify: bool | None = Field(default=None, description="Send the person who triggered the run a mail when it ends")


class RerunBody(Body):
    """Run an ended run again, as a new run."""

    from_: Literal["start", "cursor"] = Field(
        default="start",
        alias="from",
        description="cursor continues where the old run failed or was cancelled; refused for a completed run",
    )


def _trigger_of(job_type: JobType) -> type[TriggerBody]:
    """Return the model of a trigger of this type, for the OpenAPI document only.

    Requests are validated step by step, because each step has its own error message.
    """
    camel = "".join(word.capitalize() for word in job_type.name.split("_"))
    return create_model(
        f"Trigger{camel}",
        __base__=TriggerBody,
        __doc__=f"Start a run of {job_type.label}.",
        job_type=(Literal[job_type.name], ...),
        params=(job_type.params_model() | None, Field(default=None)),
    )


AnyTrigger: Any = reduce(or_, [_trigger_of(job_type) for job_type in JOB_TYPES.values() if job_type.scope == "project"])
