"""What a request may bring, validated where a path needs it: pydantic is a tenth of a second of a cold start."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class TriggerBody(Body):
    """Start a run."""

    job_type: str
    project_id: str
    params: dict[str, Any] | None = Field(default=None, description="As the job type's schema in GET /v1/job-types")
    notify: bool | None = Field(default=None, description="Mail whoever triggered the run when it is over")


class RerunBody(Body):
    """Run an ended run again, as a new run."""

    from_: Literal["start", "cursor"] = Field(
        default="start",
        alias="from",
        description="cursor goes on from where the old run failed or was cancelled; refused for a completed one",
    )
