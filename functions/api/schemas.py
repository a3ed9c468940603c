"""The shapes of the HTTP contract's answers: the OpenAPI document is made of them."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, create_model

Timestamp = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
Status = Literal["pending", "running", "completed", "failed", "cancelled"]


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Error(BaseModel):
    """Clients show ``error`` alone; other fields are named where they occur."""

    error: str
    existing_run_id: UUID | None = Field(default=None, description="With 409: the run that is in the way")
    request_id: str | None = Field(default=None, description="With 500: what its log lines carry")
    paused: "Pause | None" = Field(default=None, description="With 400: the pause of the job type that was triggered")
    retry_after_s: int | None = Field(default=None, description="With 429: seconds until the team may make a run again")


class Throttled(BaseModel):
    """API Gateway's own answer, before a function of ours is asked."""

    message: str


class Progress(Answer):
    processed: int = Field(ge=0)
    total: int = Field(ge=0)
    message: str


class JobRun(Answer):
    id: UUID
    job_type: str
    status: Status
    team_id: UUID
    project_id: UUID
    triggered_by: str = Field(examples=["manual:user:0b6a5a0e-…", "manual:api_key:5f0c…"])
    params: dict[str, Any]
    progress: Progress | None
    result: dict[str, Any] | None
    error: str | None = Field(description="Why it failed: a sentence a person can act on")
    notify: bool
    started_at: Timestamp | None
    completed_at: Timestamp | None
    created_at: Timestamp


class Slice(Answer):
    slice: int
    request_id: str = Field(description="Of the Lambda invocation: find its log lines by it")
    started_at: Timestamp
    ended_at: Timestamp | None
    outcome: Literal["continued", "waiting", "retrying", "lost", "completed", "failed", "cancelled"] | None
    reason: str | None
    wait_s: int | None
    processed: int | None


class Timeline(Answer):
    """Why a run is not moving, and what it has done so far."""

    state: Literal["queued", "running", "waiting", "recovering", "cancelling", "ended"]
    why: str
    since: Timestamp | None
    until: Timestamp | None
    cancel_requested_at: Timestamp | None
    cancel_requested_by: str | None
    rerun_of: UUID | None
    logs_url: str | None = Field(description="Where its log lines are read, by those who may")
    slices_left_out: int = Field(
        ge=0, description="Older slices than those in timeline, which holds at most the newest 1,000"
    )
    timeline: list[Slice]


class Team(Answer):
    id: UUID
    name: str
    slug: str


class MemberTeam(Team):
    role: Literal["owner", "admin", "member"]


class ApiKeyIdentity(Answer):
    type: Literal["api_key"]
    key_type: str
    team: Team
    permissions: list[str]


class Listed(Answer):
    has_more: Literal[True] = Field(default=True, description="Only there where one answer does not hold all")


class PagedByCursor(Listed):
    cursor: str = Field(default="", description="Of the next page; only there where has_more is")


class UserIdentity(PagedByCursor):
    type: Literal["user"]
    email: str
    teams: list[MemberTeam]


class App(Answer):
    id: UUID
    project_id: UUID
    name: str
    platform: str
    bundle_id: str | None
    created_at: Timestamp


class Project(Answer):
    id: UUID
    team_id: UUID
    name: str
    slug: str
    color: str
    created_at: Timestamp
    effective_retention_days_events: int = Field(description="Days for which the platform keeps events")
    effective_retention_days_metrics: int = Field(description="Days for which the platform keeps metric events")
    effective_retention_days_funnels: int = Field(description="Days for which the platform keeps funnel events")


class ProjectWithApps(Project, Listed):
    apps: list[App]


class Member(Answer):
    id: UUID
    email: str | None = Field(description="null where an API key asks")
    role: Literal["owner", "admin", "member"]


class ApiKey(Answer):
    id: UUID
    name: str = Field(description="Empty where it has none")


class Members(Listed):
    """Whose the ids in ``triggered_by`` are."""

    members: list[Member]
    api_keys: list[ApiKey] = Field(description="Deleted ones, too")


class Pause(Answer):
    """While a type is paused its triggers are refused with 400 and this sentence in full."""

    job_type: str
    what: Literal["type"]
    since: Timestamp
    by: str
    why: str


class JobTypeInfo(Answer):
    job_type: str
    label: str
    description: str
    params: dict[str, Any] = Field(description="JSON Schema of the trigger's params")
    paused: Pause | None


class Health(Answer):
    status: Literal["ok"]
    version: str


RunEnvelope = create_model("RunEnvelope", __base__=Answer, job_run=(JobRun, ...))
RunPage = create_model(
    "RunPage", __base__=Answer, job_runs=(list[JobRun], ...), cursor=(str | None, ...), has_more=(bool, ...)
)
Syncing = create_model(
    "Syncing",
    __base__=Answer,
    syncing=(Literal[True], ...),
    total=(int, Field(ge=0, description="Users of the project")),
    job_run_id=(UUID, ...),
)
Cancelled = create_model("Cancelled", __base__=Answer, cancelled=(Literal[True], ...))
Projects = create_model("Projects", __base__=PagedByCursor, projects=(list[Project], ...))
JobTypes = create_model("JobTypes", __base__=Answer, job_types=(list[JobTypeInfo], ...))
