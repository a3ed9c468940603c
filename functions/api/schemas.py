"""Models of the HTTP contract's responses. The OpenAPI document is generated from them."""

from datetime import datetime
from types import GenericAlias
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, create_model

from nightshift.database.run_row import RunRow

Timestamp = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
Status = Literal["pending", "running", "completed", "failed", "cancelled"]
DeliveryKind = Literal["failed", "completed", "cancelled", "recovered", "overdue", "digest", "test"]
DeliveryStatus = Literal["held", "unsent", "sent", "failed", "digested"]


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Error(BaseModel):
    """``error`` says what is wrong. The other fields come only with the statuses that they name."""

    error: str
    existing_run_id: UUID | None = Field(default=None, description="With 409: the run that is pending or running")
    existing_schedule_id: UUID | None = Field(default=None, description="With 409: the schedule that is the same")
    request_id: str | None = Field(default=None, description="With 500: the id that the request's log lines carry")
    paused: "Pause | None" = Field(default=None, description="With 400: the pause of the triggered job type")
    replaced_by: UUID | None = Field(default=None, description="With 409: the key that replaced this one")
    field: str | None = Field(default=None, description="With some 400: the field that is wrong")
    retry_after_s: int | None = Field(default=None, description="With 429: seconds until the request may succeed")


class Throttled(BaseModel):
    """API Gateway's own response, sent when it throttles a request."""

    message: str


class Progress(Answer):
    processed: int = Field(ge=0)
    total: int = Field(ge=0)
    message: str


# The fields for which JSON Schema is more exact than the type in RunRow.
OF_A_RUN: dict[str, Any] = {
    "status": Status,
    # The API answers with the runs of teams only.
    "team_id": UUID,
    "project_id": UUID,
    "triggered_by": Annotated[str, Field(examples=["manual:user:0b6a5a0e-…", "manual:api_key:5f0c…"])],
    "params": dict[str, Any],
    "progress": Progress | None,
    "result": dict[str, Any] | None,
    "error": Annotated[str | None, Field(description="Why the run failed: a sentence that a person can act on")],
    "waiting_for": Annotated[str | None, Field(description="What the next slice of a live run waits for")],
}
TIMES = {datetime: Timestamp, datetime | None: Timestamp | None}


def _field(name: str, kind: Any) -> tuple[Any, Any]:
    return OF_A_RUN.get(name, TIMES.get(kind, kind)), ...


_SEEN = {name: _field(name, kind) for name, kind in RunRow.__annotations__.items()}
JobRun = create_model("JobRun", __base__=Answer, **dict[str, Any](_SEEN))
JobRuns = GenericAlias(list, (JobRun,))


class Slice(Answer):
    slice: int
    request_id: str = Field(description="Request id of the Lambda invocation; its log lines carry it")
    started_at: Timestamp
    ended_at: Timestamp | None
    outcome: Literal["continued", "waiting", "retrying", "lost", "completed", "failed", "cancelled"] | None
    reason: str | None
    wait_s: int | None
    processed: int | None


class Timeline(Answer):
    """Why a run is not making progress, and what it has done so far."""

    state: Literal["queued", "running", "waiting", "recovering", "cancelling", "ended"]
    why: str
    since: Timestamp | None
    until: Timestamp | None
    cancel_requested_at: Timestamp | None
    cancel_requested_by: str | None
    rerun_of: UUID | None
    logs_url: str | None = Field(description="Address of the run's log lines, for people with access to them")
    logged_lines: int = Field(ge=0, description="Number of lines that the run has logged so far")
    slices_left_out: int = Field(
        ge=0, description="Number of older slices left out of timeline, which holds at most the newest 1,000"
    )
    mail_stopped: str | None = Field(
        description="Why mails to the person who triggered it are stopped, if they are, after a run with notify"
    )
    timeline: list[Slice]


class LogLine(Answer):
    line: int = Field(ge=1, description="The number of the line in its run's log")
    slice: int = Field(ge=0, description="The slice in which the job logged it")
    at: Timestamp
    level: Literal["debug", "info", "warning", "error"]
    message: str
    fields: dict[str, str | int | float | bool | None]


class LogPage(Answer):
    """Lines that a run logged, the oldest first. A run keeps its last 1,000 lines, a team its newest megabytes."""

    log_lines: list[LogLine]
    cursor: int = Field(ge=0, description="Pass it as after to read the following lines")
    has_more: bool = Field(description="Whether lines follow that are stored already; never without after")
    left_out: int = Field(ge=0, description="Number of earlier lines, since after, that are no longer stored")
    logged: int = Field(ge=0, description="Number of lines that the run has logged so far")
    lost_slices: list[int] = Field(
        description="The newest slices whose workers were lost: their last lines are in CloudWatch alone"
    )
    status: Status


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
    has_more: Literal[True] = Field(default=True, description="Present only if the list continues beyond this response")


class PagedByCursor(Listed):
    cursor: str = Field(default="", description="Cursor of the next page; present only with has_more")


class UserIdentity(PagedByCursor):
    type: Literal["user"]
    email: str
    teams: list[MemberTeam]


Identity = ApiKeyIdentity | UserIdentity


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
    email: str | None = Field(description="null if the caller is an API key")
    role: Literal["owner", "admin", "member"]


class ApiKey(Answer):
    id: UUID
    name: str = Field(description="Empty if the key has no name")


class Members(Listed):
    """The people and API keys whose ids occur in ``triggered_by``."""

    members: list[Member]
    api_keys: list[ApiKey] = Field(description="Including deleted keys")


class Integration(Answer):
    """A provider's key and config. The key cannot be read again: it is masked, like each field that is not known."""

    id: UUID
    project_id: UUID
    provider: str
    config: dict[str, Any] = Field(examples=[{"project_id": "proj1ab2c3d4", "api_key": "********"}])
    enabled: bool
    created_at: Timestamp
    updated_at: Timestamp


class KeyTest(Answer):
    """The test of a key at its provider. A key is stored even if its test fails."""

    ok: bool = Field(description="Whether the provider accepts the key, with all permissions that the jobs need")
    says: str = Field(examples=["RevenueCat project Acme; the key reads customers, subscriptions, purchases."])
    reads: list[str]
    lacks: list[str] = Field(description="The missing permissions, by the provider's names")


class TestedIntegration(Integration):
    test: KeyTest | None = Field(description="null: no key was given")


class ProviderInfo(Answer):
    """A provider whose key a project can store."""

    provider: str
    label: str
    key_title: str
    key_description: str
    config: dict[str, Any] = Field(description="JSON Schema of the config beside the key")


class Integrations(Answer):
    integrations: list[Integration]
    providers: list[ProviderInfo]


class AgentKey(Answer):
    """An agent key of a team. The key itself is shown once, when it is made."""

    id: UUID
    name: str
    key_prefix: str = Field(description="Its first characters", examples=["owl_agent_x7Qz"])
    permissions: list[str]
    made_by: str | None = Field(
        description="Like the actor of an audit entry; null: the platform made it",
        examples=["user:0b6a5a0e-…", "api_key:5f0c…", "operator"],
    )
    maker_has_left: bool = Field(description="Whether its maker no longer belongs to the team; the key goes on working")
    created_at: Timestamp
    expires_at: Timestamp | None
    expired: bool
    last_used_at: Timestamp | None = Field(description="Coarse: noted at most once an hour")
    replaced_by: UUID | None = Field(
        description="The key that a rotation made instead; this one works until expires_at"
    )


class NewAgentKey(AgentKey):
    secret: str = Field(description="The key itself. It cannot be read again.")


class AuditEntry(Answer):
    """A change. Starts and cancels of runs have no entries: the runs say who asked for them."""

    id: UUID
    occurred_at: Timestamp
    team_id: UUID
    actor: Annotated[str, Field(examples=["user:0b6a5a0e-…", "api_key:5f0c…", "operator"])]
    action: Annotated[str, Field(examples=["integration.stored", "agent_key.ended"])]
    subject_type: str = Field(description="What was changed, like integration")
    subject_id: str
    details: dict[str, Any]
    request_id: str = Field(description="Request id of the Lambda invocation; its log lines carry it")


class Pause(Answer):
    """The pause of a job type. Its triggers are refused with 400; the error says who paused it, when and why."""

    job_type: str
    what: Literal["type", "project"] = Field(
        description="type: the operator paused it for all teams; project: the team paused it for this project"
    )
    since: Timestamp
    by: str = Field(description="As the operator gave it; of a team's pause like triggered_by")
    why: str
    until: Timestamp | None = Field(default=None, description="When it ends by itself; null: when it is resumed")


class JobTypeInfo(Answer):
    job_type: str
    label: str
    description: str
    params: dict[str, Any] = Field(description="JSON Schema of the trigger's params")
    provider: str | None = Field(description="The provider whose key the project needs, by its integration's name")
    paused: Pause | None


class EndedRun(Answer):
    run_id: UUID
    at: Timestamp


class FailedRun(EndedRun):
    error: str = Field(description="Its first 500 characters")


class LiveRun(Answer):
    run_id: UUID
    status: Literal["pending", "running"]
    progress: Progress | None


class NextSlot(Answer):
    schedule_id: UUID
    at: Timestamp


DayCounts = Annotated[list[int], Field(description="One number for each of days: the runs that ended on it")]
MEDIAN = "Median, at most 9 % away from the exact one"


class JobSummary(Answer):
    """A job type of a project: whether its data is fresh, and how its runs of the last 14 days ended."""

    project_id: UUID
    project: str = Field(description="The project's name")
    job_type: str
    state: Literal["failing", "late", "new", "fresh", "unscheduled"] = Field(
        description="failing: its last run failed; late: it has not succeeded for twice as long as its schedule's "
        "longest gap; new: it has not succeeded yet; fresh: it succeeded in time; unscheduled: its last run "
        "succeeded, and no schedule starts the next"
    )
    last_completed: EndedRun | None
    last_failed: FailedRun | None
    live: LiveRun | None
    next: NextSlot | None = Field(description="The next time of the team's schedules")
    completed: DayCounts
    failed: DayCounts
    cancelled: DayCounts
    success_rate: float | None = Field(ge=0, le=1, description="Of the runs that completed or failed; null: none did")
    median_ms: int | None = Field(description=f"Duration of completed runs. {MEDIAN}")
    recent_median_ms: int | None = Field(description="The same for the last seven days")
    earlier_median_ms: int | None = Field(description="The same for the seven days before")
    trend: Literal["faster", "slower", "steady"] | None = Field(
        description="steady: the medians of the two weeks differ by less than a quarter; null: a week has fewer than "
        "three runs"
    )
    waited_ms: int | None = Field(description=f"Time from the trigger to the first claim. {MEDIAN}")


class ErrorGroup(Answer):
    """Failed runs of a job type with the same error."""

    error: str = Field(description="With placeholders for ids, addresses, times and numbers, such as <id>")
    job_type: str
    runs: int
    projects: int
    last_run_id: UUID
    last_at: Timestamp
    advice: str = Field(description="What a team admin can do")


class Summary(Answer):
    """A team's runs of the last 14 days in UTC, today included."""

    days: list[Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]]
    counted_until: Timestamp | None = Field(
        description="null: all runs are counted; else those that ended until then, because very many have ended since"
    )
    states: dict[str, int] = Field(description="Number of jobs in each state, also of those left out")
    jobs: list[JobSummary] = Field(description="First those that need a look; at most 200")
    jobs_left_out: int
    errors: list[ErrorGroup] = Field(description="The ten largest groups")
    failures_looked_at: int = Field(description="The newest failures, at most 1,000, of which errors are the groups")
    has_more_failures: bool


class SchedulePause(Answer):
    since: Timestamp
    by: str
    why: str


class Slot(Answer):
    """One time of a schedule, and what became of it."""

    slot: Timestamp
    outcome: Literal["started", "skipped", "caught_up", "missed"]
    reason: str | None = Field(description="Why it was skipped")
    run_id: UUID | None = Field(description="The run that it started, or the live run for which it was skipped")


class SlotWithStatus(Slot):
    status: Status | None = Field(description="The run's status; null without a run, or if retention has deleted it")


class Schedule(Answer):
    """A schedule of a project's job. It has a ``cron``, or it starts once, at ``run_at``."""

    id: UUID
    team_id: UUID
    project_id: UUID
    job_type: str
    name: str
    cron: str | None
    run_at: Timestamp | None
    zone: str
    said: str = Field(description="Its times in words", examples=["At 03:00 every day"])
    params: dict[str, Any]
    notify: bool
    created_by: str = Field(examples=["manual:user:0b6a5a0e-…"])
    maker_has_left: bool = Field(description="Whether its maker no longer belongs to the team; the schedule goes on")
    created_at: Timestamp
    updated_at: Timestamp
    paused: SchedulePause | None
    skipped: int = Field(ge=0, description="Slots in a row that were skipped")
    next: list[Timestamp] = Field(description="Its next five times; none if it is paused or has started its one run")
    last: Slot | None


class CronPreview(Answer):
    cron: str
    zone: str
    said: str = Field(description="The expression in words", examples=["At 03:00 every day"])
    next: list[Timestamp] = Field(description="Its next five times")


class CodesOffered(Answer):
    digits: int = Field(description="Length of a code")
    expires_in_s: int = Field(description="Seconds for which a code is valid")


class CodeAsked(CodesOffered):
    """The same for every address: a mail leaves only for a person whom the platform knows."""

    sign_in: str = Field(description="What the code is entered with. Only the program that asked for the code has it")


class Session(Answer):
    id: UUID
    browser: str = Field(examples=["Chrome on Linux"])
    network: str = Field(description="Where the sign-in came from: an IPv4 address, or the /64 of an IPv6 address")
    signed_in_by: Literal["code", "link"]
    created_at: Timestamp
    last_used_at: Timestamp = Field(description="Within ten minutes")
    ends_at: Timestamp = Field(description="12 hours after the last use, and at most 30 days after the start")
    is_current: bool = Field(description="Whether the request belongs to this session")


class SignedIn(Answer):
    session: Session
    token: str = Field(default="", description="The session's bearer token; a page gets a cookie instead")


class AlertAddress(Answer):
    address: str
    state: Literal["member", "confirmed", "waiting"] = Field(
        description="waiting: outside the team and not confirmed; no alert is sent there"
    )


class AlertFailing(Answer):
    since: Timestamp
    failures: int = Field(ge=1)


class LastDelivery(Answer):
    at: Timestamp
    kind: DeliveryKind
    status: DeliveryStatus
    error: str | None


class AlertInfo(Answer):
    """The runs of which a team is told, and the place where."""

    id: UUID
    team_id: UUID
    name: str
    channel: Literal["mail", "slack", "webhook"]
    events: list[Literal["failed", "ended", "first_failure", "recovered", "overdue"]]
    job_types: list[str] | None = Field(description="null: all")
    project_ids: list[UUID] | None = Field(description="null: all of the team")
    url: str | None = Field(description="Of a webhook; that of Slack is masked")
    admins: bool
    addresses: list[AlertAddress]
    minutes_between: int
    overdue_hours: int | None
    old_secret_until: Timestamp | None = Field(
        description="Until then, the secret before the last rotation signs as well"
    )
    created_by: str = Field(examples=["manual:user:0b6a5a0e-…"])
    created_at: Timestamp
    updated_at: Timestamp
    paused: SchedulePause | None = Field(description="by is nightshift if its endpoint did not accept messages")
    failing: AlertFailing | None
    last: LastDelivery | None


class Delivery(Answer):
    """A message of an alert. ``id`` is the receiver's webhook-id."""

    id: UUID
    alert_id: UUID
    kind: DeliveryKind
    run_id: UUID | None
    data: dict[str, Any]
    status: DeliveryStatus = Field(description="held: waits for the alert's pause between messages to end")
    send_at: Timestamp | None = Field(description="The next try, if it is unsent")
    tries: int
    answer_status: int | None = Field(description="HTTP status of the last answer")
    answer: str | None = Field(description="The first 1,024 bytes of the last answer")
    error: str | None
    digest_id: UUID | None
    created_at: Timestamp
    ended_at: Timestamp | None


class StoredAlert(Answer):
    alert: AlertInfo
    secret: str | None = Field(description="Of a new webhook: it cannot be read again", examples=["whsec_…"])
    notes: list[str] = Field(description="What to know about the alert that was just stored")


class RotatedSecret(Answer):
    secret: str = Field(description="It cannot be read again", examples=["whsec_…"])
    old_secret_until: Timestamp


class ConfirmedAddress(Answer):
    confirmed: Literal[True]
    address: str
    team: str = Field(description="The team's name")


class Searched(Answer):
    """How far the search for runs looked. The cursor goes on from there."""

    runs: int = Field(ge=0, description="Runs that it looked at, at most 10,000")
    back_to: Timestamp | None = Field(description="When the last of them was created")


class BulkFigures(Answer):
    """The runs of a bulk action, by what became of them."""

    runs: int = Field(description="All of them: the sum of the following ones but projects")
    projects: int
    to_do: int = Field(description="Not done yet; in a preview, the runs that will be cancelled or run again")
    started: int = Field(description="Run again")
    cancelled: int
    asked_to_stop: int = Field(description="Their workers stop them at their next step")
    superseded: int = Field(description="Not run again, because a newer run of their project and type is")
    skipped: int = Field(description="Left out for one of the reasons")


class BulkReason(Answer):
    reason: str
    runs: int


class BulkActionInfo(Answer):
    id: UUID
    action: Literal["cancel", "rerun"]
    from_: Literal["start", "cursor"] = Field(alias="from")
    state: Literal["preview", "working", "ended"]
    asked: dict[str, str] = Field(description="The filters that found the runs; empty for runs that were chosen by id")
    made_by: str
    made_at: Timestamp
    confirmed_by: str | None
    confirmed_at: Timestamp | None
    ended_at: Timestamp | None
    figures: BulkFigures
    reasons: list[BulkReason] = Field(description="Why runs were skipped: the ten most frequent reasons")


class BulkItemInfo(Answer):
    run_id: UUID
    project_id: UUID
    job_type: str
    run_created_at: Timestamp
    outcome: Literal["started", "cancelled", "asked", "superseded", "skipped"] | None = Field(
        description="null: not done yet"
    )
    reason: str | None = Field(description="Why it was skipped")
    new_run_id: UUID | None = Field(description="The run that was started")


class Health(Answer):
    status: Literal["ok"]
    version: str


Pauses = create_model("Pauses", __base__=Answer, pauses=(list[Pause], ...))
PauseEnvelope = create_model("PauseEnvelope", __base__=Answer, pause=(Pause, ...))
RunEnvelope = create_model("RunEnvelope", __base__=Answer, job_run=(JobRun, ...))
ScheduleEnvelope = create_model("ScheduleEnvelope", __base__=Answer, schedule=(Schedule, ...))
Sessions = create_model("Sessions", __base__=Answer, sessions=(list[Session], ...))
SessionsEnded = create_model("SessionsEnded", __base__=Answer, ended=(int, Field(ge=0)))
Started = RunEnvelope | ScheduleEnvelope
AlertEnvelope = create_model("AlertEnvelope", __base__=Answer, alert=(AlertInfo, ...))
Alerts = create_model("Alerts", __base__=Answer, alerts=(list[AlertInfo], ...))
DeliveryEnvelope = create_model("DeliveryEnvelope", __base__=Answer, delivery=(Delivery, ...))
DeliveryPage = create_model(
    "DeliveryPage",
    __base__=Answer,
    deliveries=(list[Delivery], ...),
    cursor=(UUID | None, ...),
    has_more=(bool, ...),
)
Schedules = create_model("Schedules", __base__=Listed, schedules=(list[Schedule], ...))
SlotPage = create_model("SlotPage", __base__=Listed, slots=(list[SlotWithStatus], ...))
Deleted = create_model("Deleted", __base__=Answer, deleted=(Literal[True], ...))
RunPage = create_model(
    "RunPage",
    __base__=Answer,
    job_runs=(JobRuns, ...),
    cursor=(str | None, ...),
    has_more=(bool, ...),
    searched=(Searched, Field(default=None, description="Present only with a filter that searches")),
)
BulkActionEnvelope = create_model("BulkActionEnvelope", __base__=Answer, bulk_action=(BulkActionInfo, ...))
BulkActions = create_model("BulkActions", __base__=Answer, bulk_actions=(list[BulkActionInfo], ...))
BulkPreview = create_model(
    "BulkPreview",
    __base__=Answer,
    bulk_action=(BulkActionInfo, ...),
    searched=(Searched | None, Field(description="null without a filter that searches")),
)
BulkItemPage = create_model(
    "BulkItemPage",
    __base__=Answer,
    items=(list[BulkItemInfo], ...),
    cursor=(UUID | None, ...),
    has_more=(bool, ...),
)
Syncing = create_model(
    "Syncing",
    __base__=Answer,
    syncing=(Literal[True], ...),
    total=(int, Field(ge=0, description="Users of the project")),
    job_run_id=(UUID, ...),
)
AuditPage = create_model(
    "AuditPage",
    __base__=Answer,
    entries=(list[AuditEntry], ...),
    cursor=(str | None, ...),
    has_more=(bool, ...),
)
Deleted = create_model("Deleted", __base__=Answer, deleted=(Literal[True], ...))
Cancelled = create_model("Cancelled", __base__=Answer, cancelled=(Literal[True], ...))
AgentKeys = create_model(
    "AgentKeys",
    __base__=Listed,
    keys=(list[AgentKey], ...),
    permissions=(list[str], Field(description="The permissions that a new key can have")),
)
NewKeyEnvelope = create_model("NewKeyEnvelope", __base__=Answer, key=(NewAgentKey, ...))
Projects = create_model("Projects", __base__=PagedByCursor, projects=(list[Project], ...))
JobTypes = create_model("JobTypes", __base__=Answer, job_types=(list[JobTypeInfo], ...))
