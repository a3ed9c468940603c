"""Request bodies. Imported when a request has one: pydantic is a tenth of a second of a cold start."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class TriggerBody(BaseModel):
    """Start a run."""

    model_config = ConfigDict(extra="forbid", strict=True)

    job_type: str
    project_id: str | None = None
    params: dict[str, Any] | None = Field(default=None, description="See GET /v1/job-types")
    notify: bool | None = Field(default=None, description="Mail whoever triggered the run when it is over")


class RerunBody(BaseModel):
    """Run an ended run again."""

    model_config = ConfigDict(extra="forbid", strict=True)

    from_: Literal["start", "cursor"] = Field(default="start", alias="from")
