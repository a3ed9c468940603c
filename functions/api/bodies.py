"""Models of request bodies. Handlers import them when needed: pydantic adds a tenth of a second to a cold start."""

from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model

from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES
from nightshift.schedules.team_schedules import MAX_NAME, MAX_WHY


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Name = Annotated[str, Field(max_length=MAX_NAME, description="Empty: its times in words")]
Cron = Annotated[str, Field(max_length=200, description="Five fields, or an alias such as @daily; see GET /v1/cron")]
Zone = Annotated[str, Field(max_length=100, description="The time zone whose clock cron follows (default UTC)")]


class TriggerBody(Body):
    """Start a run."""

    job_type: str
    project_id: Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
    params: dict[str, Any] | None = Field(default=None, description="See the job type's schema in GET /v1/job-types")
    notify: bool | None = Field(default=None, description="Send the person who triggered the run a mail when it ends")
    run_at: Moment | None = Field(default=None, description="Start the run at this time: the answer is a schedule")


class RerunBody(Body):
    """Run an ended run again, as a new run."""

    from_: Literal["start", "cursor"] = Field(
        default="start",
        alias="from",
        description="cursor continues where the old run failed or was cancelled; refused for a completed run",
    )


class ScheduleBody(Body):
    """Make a schedule, with either ``cron`` or ``run_at``."""

    job_type: str
    project_id: Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
    cron: Cron | None = None
    zone: Zone | None = None
    run_at: Moment | None = Field(default=None, description="The time of the one run that it starts")
    params: dict[str, Any] | None = Field(default=None, description="See the job type's schema in GET /v1/job-types")
    name: Name | None = None
    notify: bool | None = Field(default=None, description="Send the maker of the schedule a mail when a run ends")


class ScheduleChanges(Body):
    """The fields to change. ``params`` are replaced as a whole."""

    cron: Cron | None = None
    zone: Zone | None = None
    run_at: Moment | None = None
    params: dict[str, Any] | None = None
    name: Name | None = None
    notify: bool | None = None


class PauseBody(Body):
    """Pause a schedule."""

    why: str = Field(min_length=1, max_length=MAX_WHY, description="The reason, for the others in the team")


def _of_type(body: type[Body], job_type: JobType, *, name: str, says: str) -> type[Body]:
    """Return the model of a body about this type, for the OpenAPI document only.

    Requests are validated step by step, because each step has its own error message.
    """
    camel = "".join(word.capitalize() for word in job_type.name.split("_"))
    return create_model(
        f"{name}{camel}",
        __base__=body,
        __doc__=f"{says} {job_type.label}.",
        job_type=(Literal[job_type.name], ...),
        params=(job_type.params_model() | None, Field(default=None)),
    )


def _of_each_type(body: type[Body], *, name: str, says: str) -> Any:
    of_projects = [job_type for job_type in JOB_TYPES.values() if job_type.scope == "project"]
    return reduce(or_, [_of_type(body, job_type, name=name, says=says) for job_type in of_projects])


AnyTrigger = _of_each_type(TriggerBody, name="Trigger", says="Start a run of")
AnySchedule = _of_each_type(ScheduleBody, name="Schedule", says="Make a schedule of")
