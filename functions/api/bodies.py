"""Models of request bodies. Handlers import them when needed: pydantic adds a tenth of a second to a cold start."""

from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema, create_model

from api.run_filters import MAX_TEXT
from api.stored_keys import KEY
from nightshift.alerts.alert_choices import CHANNELS, EVENTS, MAX_ADDRESSES, MAX_CHOSEN
from nightshift.alerts.alert_choices import MAX_NAME as MAX_ALERT_NAME
from nightshift.alerts.public_endpoints import MAX_URL
from nightshift.jobs.job_type import JobType
from nightshift.jobs.provider import Provider
from nightshift.jobs.registry import JOB_TYPES, PROVIDERS
from nightshift.schedules.team_schedules import MAX_NAME, MAX_WHY
from nightshift.tenants import key_terms
from nightshift.tenants.key_terms import AGENT_PERMISSIONS, DEFAULT_DAYS, PERMISSIONS
from nightshift.tenants.sign_in_codes import DIGITS


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


# Ids in one body, which may have 64 KiB.
MAX_RUN_IDS = 1_000
RunId = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Name = Annotated[str, Field(max_length=MAX_NAME, description="Empty: its times in words")]
Cron = Annotated[str, Field(max_length=200, description="Five fields, or an alias such as @daily; see GET /v1/cron")]
# The patterns are of the document alone: a refusal must not repeat anything of a secret.
SignIn = Annotated[
    str, WithJsonSchema({"type": "string", "pattern": r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\..+$"})
]
Code = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^([ -]*[0-9]){{{DIGITS}}}[ -]*$"})]
Zone = Annotated[str, Field(max_length=100, description="The time zone whose clock cron follows (default UTC)")]
# JSON Schema counts 5.0 as a whole number. It follows the Field, or the document would lack the bounds.
WHOLE = BeforeValidator(lambda given: int(given) if type(given) is float and given.is_integer() else given)
# Words that people read: blanks around them are left out, and blanks alone are none.
Words = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1),
    Field(json_schema_extra={"pattern": r"^[^\u0000]*[^\u0000\s][^\u0000]*$"}),
]


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
    params: dict[str, Any] | None = Field(
        default=None, description="Other parameters than the old run's, as a whole; only from the start"
    )


Filter = Annotated[str, Field(max_length=MAX_TEXT)]


class Match(Body):
    """The filters of GET /v1/teams/{team_id}/jobs. At least one is needed, so that nothing is chosen by mistake."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    job_type: Filter | None = None
    status: Filter | None = Field(default=None, description="One, or several that are separated by commas")
    project_id: Filter | None = None
    since: Filter | None = None
    until: Filter | None = None
    triggered_by: Filter | None = None
    error: Filter | None = None
    params: Filter | None = None


class BulkBody(Body):
    """Preview a bulk action on the runs with these ids, or on all that match."""

    action: Literal["cancel", "rerun"]
    run_ids: list[RunId] | None = Field(default=None, min_length=1, max_length=MAX_RUN_IDS)
    match: Match | None = None
    from_: Literal["start", "cursor"] = Field(
        default="start", alias="from", description="Where reruns start; cursor continues where the old runs stopped"
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

    why: Words = Field(max_length=MAX_WHY, description="The reason, for the others in the team")


class TeamPauseBody(Body):
    """Pause a job type for a project."""

    why: Words = Field(max_length=MAX_WHY, description="The reason, shown to everyone whose trigger is refused")
    until: Moment | None = Field(
        default=None, description="When the pause ends by itself; otherwise when it is resumed"
    )


class KeyBody(Body):
    """Make an agent key."""

    name: Words = Field(max_length=key_terms.MAX_NAME, description="By which people recognise it")
    permissions: list[str] | None = Field(
        default=None,
        min_length=1,
        description=f"Some of {', '.join(PERMISSIONS)} (default {', '.join(AGENT_PERMISSIONS)})",
        json_schema_extra={"items": {"type": "string", "enum": [*PERMISSIONS]}},
    )
    expires_in_days: Annotated[int, Field(ge=1, le=key_terms.MOST_DAYS), WHOLE] | None = Field(
        default=None, description=f"Days until it stops working (default {DEFAULT_DAYS})"
    )
    never_expires: bool | None = Field(default=None, description="true: it works until it is ended")


class RotationBody(Body):
    """Replace an agent key."""

    grace_days: Annotated[int, Field(ge=0, le=key_terms.MOST_GRACE_DAYS), WHOLE] | None = Field(
        default=None, description="Days for which the old key still works (default 0: none)"
    )


class CodeBody(Body):
    """Ask for a code to sign in with."""

    email: Annotated[str, WithJsonSchema({"type": "string", "format": "email", "examples": ["ada@example.com"]})]
    replaces: SignIn | None = Field(default=None, description="sign_in of an earlier code, which ends")


class CodeEntry(Body):
    """Sign in with a code."""

    sign_in: SignIn = Field(description="What POST /v1/auth/codes returned")
    code: Code = Field(description="The code in the mail; blanks and hyphens are ignored")


class LinkEntry(Body):
    """Sign in with the link that the server's operator made."""

    link: SignIn = Field(description="What follows #sign-in= in the link")


class IntegrationBody(Body):
    """Store a provider's key: ``config.api_key``, beside the fields of the provider's own config."""

    provider: str = Field(description="A provider that GET /v1/projects/{project_id}/integrations lists")
    config: dict[str, Any]


class IntegrationChange(Body):
    """Change an integration. Fields of ``config`` that are left out stay as they are; ``null`` takes one out."""

    config: dict[str, Any] | None = None
    enabled: bool | None = None


Event = Literal[EVENTS]  # type: ignore[valid-type]
AlertName = Annotated[str, Field(max_length=MAX_ALERT_NAME, description="Empty: its events and its channel")]
Events = Annotated[
    list[Event],
    Field(
        min_length=1,
        max_length=len(EVENTS),
        description="failed, ended (every end), first_failure (after a success), recovered, or overdue: a job with a "
        "repeating schedule that has not succeeded for overdue_hours",
    ),
]
Chosen = Annotated[list[str], Field(min_length=1, max_length=MAX_CHOSEN)]
Url = Annotated[
    str,
    Field(
        max_length=MAX_URL,
        description="Of a webhook, or of Slack (https://hooks.slack.com/…, which is kept as a secret): https, port 443",
        json_schema_extra={"writeOnly": True},
    ),
]
Addresses = Annotated[
    list[str],
    Field(max_length=MAX_ADDRESSES, description="Further readers; one outside the team confirms the address first"),
]
Between = Annotated[
    int,
    Field(ge=0, le=1440, description="Minutes between two messages; what happens in between is one digest (default 5)"),
    WHOLE,
]
Hours = Annotated[int, Field(ge=1, le=8760, description="Only with the event overdue"), WHOLE]


class AlertBody(Body):
    """Make an alert."""

    channel: Literal[CHANNELS]  # type: ignore[valid-type]
    events: Events
    name: AlertName | None = None
    job_types: Chosen | None = Field(default=None, description="null: all")
    project_ids: Chosen | None = Field(default=None, description="null: all of the team")
    url: Url | None = None
    admins: bool | None = Field(default=None, description="Whether a mail goes to all admins of the team")
    addresses: Addresses | None = None
    minutes_between: Between | None = None
    overdue_hours: Hours | None = None


class AlertChanges(Body):
    """The fields to change. ``null`` for ``job_types`` or ``project_ids`` means all."""

    events: Events | None = None
    name: AlertName | None = None
    job_types: Chosen | None = None
    project_ids: Chosen | None = None
    url: Url | None = None
    admins: bool | None = None
    addresses: Addresses | None = None
    minutes_between: Between | None = None
    overdue_hours: Hours | None = None
    enabled: bool | None = Field(default=None, description="false pauses the alert, true resumes it")


class ConfirmBody(Body):
    """Confirm a mail address."""

    token: str = Field(pattern="^[A-Za-z0-9_-]{1,100}$", description="The part of the mail's link after #")


def _of_type(body: type[Body], job_type: JobType, *, name: str, says: str) -> type[Body]:
    """Return the model of a body about this type, for the OpenAPI document only.

    Requests are validated step by step, because each step has its own error message.
    """
    return create_model(
        f"{name}{_camel(job_type.name)}",
        __base__=body,
        __doc__=f"{says} {job_type.label}.",
        job_type=(Literal[job_type.name], ...),
        params=(job_type.params_model() | None, Field(default=None)),
    )


def _of_each_type(body: type[Body], *, name: str, says: str) -> Any:
    of_projects = [job_type for job_type in JOB_TYPES.values() if job_type.scope == "project"]
    return reduce(or_, [_of_type(body, job_type, name=name, says=says) for job_type in of_projects])


def _integration_of(provider: Provider) -> type[IntegrationBody]:
    """Return the model of a new integration of the provider, for the OpenAPI document only."""
    config = create_model(
        f"{_camel(provider.name)}Config", __base__=provider.config_model(), api_key=(str, Field(**_key_of(provider)))
    )
    return create_model(
        f"{_camel(provider.name)}Integration",
        __base__=IntegrationBody,
        __doc__=f"Store a key of {provider.label}.",
        provider=(Literal[provider.name], ...),
        config=(config, ...),
    )


def _change_of(provider: Provider) -> type[IntegrationChange]:
    """Return the model of a change of the provider's integration, for the OpenAPI document only."""
    config = create_model(
        f"{_camel(provider.name)}ConfigChange",
        __base__=provider.config_model(),
        api_key=(str | None, Field(default=None, **_key_of(provider))),
    )
    return create_model(
        f"{_camel(provider.name)}Change",
        __base__=IntegrationChange,
        __doc__=f"Change an integration of {provider.label}: fields that are left out stay, `null` takes one out.",
        config=(config | None, Field(default=None)),
    )


def _key_of(provider: Provider) -> dict[str, Any]:
    described = f"{provider.key_title}. It cannot be read again."
    return {"pattern": f"^{KEY.pattern}$", "description": described, "json_schema_extra": {"writeOnly": True}}


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


AnyIntegration: Any = reduce(or_, [_integration_of(provider) for provider in PROVIDERS.values()])
AnyIntegrationChange: Any = reduce(or_, [_change_of(provider) for provider in PROVIDERS.values()])
AnyEntry: Any = CodeEntry | LinkEntry
AnyTrigger = _of_each_type(TriggerBody, name="Trigger", says="Start a run of")
AnySchedule = _of_each_type(ScheduleBody, name="Schedule", says="Make a schedule of")
