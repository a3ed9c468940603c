"""What a request may bring, validated where a path needs it: pydantic is a tenth of a second of a cold start."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model

from nightshift.catalogue import CATALOGUE, JobType


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class TriggerBody(Body):
    """Start a run."""

    job_type: str
    project_id: Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
    params: dict[str, Any] | None = Field(default=None, description="As the job type's schema in GET /v1/job-types")
    notify: bool | None = Field(default=None, description="Mail whoever triggered the run when it is over")


class RerunBody(Body):
    """Run an ended run again, as a new run."""

    from_: Literal["start", "cursor"] = Field(
        default="start",
        alias="from",
        description="cursor goes on from where the old run failed or was cancelled; refused for a completed one",
    )


def _trigger_of(job_type: JobType) -> type[TriggerBody]:
    """What a trigger of this type takes, for the document. Requests are validated in steps, each with its sentence."""
    camel = "".join(word.capitalize() for word in job_type.name.split("_"))
    return create_model(
        f"Trigger{camel}",
        __base__=TriggerBody,
        __doc__=f"Start a run of {job_type.label}.",
        job_type=(Literal[job_type.name], ...),
        params=(job_type.params_model() | None, Field(default=None)),
    )


TRIGGERS = tuple(_trigger_of(job_type) for job_type in CATALOGUE.values() if job_type.scope == "project")
