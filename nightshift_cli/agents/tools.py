"""The tools that an agent may call: requests to the API, with a key whose permissions bound what they can do."""

from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Literal, ParamSpec
from uuid import uuid4

import click
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from nightshift_cli.agents.untrusted import NOTE, marked, safe
from nightshift_cli.base import exact
from nightshift_cli.base.failures import Failure
from nightshift_cli.remote import overview_calls, schedule_calls
from nightshift_cli.session import Session

P = ParamSpec("P")

RunId = Annotated[str, Field(description="The id of a run, or its beginning: at least four characters")]
ScheduleId = Annotated[str, Field(description="The id of a schedule, or its beginning: at least four characters")]
JobType = Annotated[str, Field(description="The name of a job type, as list_job_types says")]
AnyJobType = Annotated[str | None, Field(description="Only this job type")]
AnyProject = Annotated[str | None, Field(description="Only this project: its id or slug")]
Project = Annotated[str | None, Field(description="The project's id or slug. Leave it out if the team has only one")]
Params = Annotated[
    dict[str, Any] | None, Field(description="The job's parameters, by the schema that list_job_types shows")
]
Since = Annotated[str | None, Field(description="Created at or after: ISO 8601, or an age such as 30m, 1h, 7d")]
Until = Annotated[str | None, Field(description="Created at or before, in the same format")]
Limit = Annotated[int, Field(ge=1, le=200, description="Runs per page")]
Cursor = Annotated[str | None, Field(description="The cursor of the last page, for the page after it")]
RunAt = Annotated[str | None, Field(description="Start it at this later time: ISO 8601. The answer is a schedule")]
Status = Literal["pending", "running", "completed", "failed", "cancelled"]
LogLevel = Literal["debug", "info", "warning", "error"]
Cron = Annotated[str, Field(description="Five fields, such as 0 3 * * *")]
Zone = Annotated[str, Field(description="The time zone whose clock cron follows, such as Europe/Berlin")]
Why = Annotated[str, Field(description="The reason, which the team reads")]


def told(tool: Callable[P, dict[str, Any]]) -> Callable[P, dict[str, Any]]:
    """Let the tool's answer be marked as untrusted, and its refusal be an error that the agent reads, marked as well.

    A refusal repeats what people wrote: why a job type is paused, or the names of projects.
    """

    @wraps(tool)
    def call(*args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        try:
            return marked(tool(*args, **kwargs))
        except (Failure, click.ClickException) as exc:
            more = {name: value for name, value in getattr(exc, "body", {}).items() if name != "error"}
            said = [NOTE, safe(exc.message), *([exact.write(safe(more))] if more else [])]
            raise ToolError(" ".join(said)) from exc

    return call


class Tools:
    """The tools of one sign-in. Each method is a tool: its docstring is what an agent reads about it."""

    def __init__(self, session: Session):
        self._session = session
        self._api = session.api

    @told
    def list_job_types(self) -> dict[str, Any]:
        """List the job types that can be started, with the schema of their parameters."""
        return {"job_types": self._api.job_types()}

    @told
    def list_projects(
        self, search: Annotated[str | None, Field(description="A part of the name or slug")] = None
    ) -> dict[str, Any]:
        """List the team's projects."""
        return {"projects": self._api.projects(self._session.team_id, search=search)}

    @told
    def get_overview(self, project: AnyProject = None, job_type: AnyJobType = None) -> dict[str, Any]:
        """Show whether data is fresh and jobs work: for each project and type of the last 14 days, and the errors."""
        project_id = self._project_id(project)
        return overview_calls.summary(self._session.team_id, api=self._api, project_id=project_id, job_type=job_type)

    @told
    def list_runs(
        self,
        status: Status | None = None,
        job_type: AnyJobType = None,
        project: AnyProject = None,
        since: Since = None,
        until: Until = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> dict[str, Any]:
        """List the team's runs, newest first."""
        return self._api.runs(
            self._session.team_id,
            status=status,
            job_type=job_type,
            project_id=self._project_id(project),
            since=since,
            until=until,
            limit=limit,
            cursor=cursor,
        )

    @told
    def get_run(self, run_id: RunId) -> dict[str, Any]:
        """Show a run: its status, parameters, progress, and its result or error."""
        return {"job_run": self._api.run(self._session.run_id(run_id))}

    @told
    def get_run_timeline(self, run_id: RunId) -> dict[str, Any]:
        """Show the slices of a run, and why it does not make progress, if it does not."""
        return self._api.timeline(self._session.run_id(run_id))

    @told
    def get_run_logs(
        self,
        run_id: RunId,
        level: Annotated[LogLevel | None, Field(description="Only lines of this level or a higher one")] = None,
        limit: Annotated[int, Field(ge=1, le=1000, description="The last lines")] = 100,
    ) -> dict[str, Any]:
        """Show the last lines that a run logged, oldest first."""
        return self._api.logs(self._session.run_id(run_id), level=level, limit=limit)

    @told
    def trigger_run(
        self,
        job_type: JobType,
        project: Project = None,
        params: Params = None,
        run_at: RunAt = None,
        notify: Annotated[bool, Field(description="Mail the key's owner when the run ends")] = False,
    ) -> dict[str, Any]:
        """Start a run. A job type has one live run for each project: a second is refused, and names the first."""
        project_id = self._session.project_id(project)
        request: dict[str, Any] = {"job_type": job_type, "project_id": project_id, "notify": notify}
        request |= {"params": params} if params else {}
        team_id = self._session.team_id
        if run_at:
            return {"schedule": schedule_calls.start_later(team_id, request | {"run_at": run_at}, api=self._api)}
        return {"job_run": self._api.trigger(team_id, request, idempotency_key=str(uuid4()))}

    @told
    def cancel_run(self, run_id: RunId) -> dict[str, Any]:
        """Ask a run to stop. It stops after its current step, and what it has committed stays."""
        return self._api.cancel(self._session.run_id(run_id))

    @told
    def rerun(
        self,
        run_id: RunId,
        start: Annotated[
            Literal["start", "cursor"],
            Field(description="From the beginning, or from the last checkpoint of a run that did not complete"),
        ] = "start",
    ) -> dict[str, Any]:
        """Start a new run with the parameters of a run that has ended."""
        run_id = self._session.run_id(run_id)
        return {"job_run": self._api.rerun(run_id, start=start, idempotency_key=str(uuid4()))}

    @told
    def list_schedules(self, project: AnyProject = None, job_type: AnyJobType = None) -> dict[str, Any]:
        """List the team's schedules, with the last and the next time of each."""
        found = schedule_calls.schedules_of(
            self._session.team_id, api=self._api, project_id=self._project_id(project), job_type=job_type
        )
        return {"schedules": found}

    @told
    def create_schedule(
        self,
        job_type: JobType,
        cron: Cron,
        zone: Zone = "UTC",
        project: Project = None,
        params: Params = None,
        name: Annotated[str | None, Field(description="A name; otherwise its times in words")] = None,
    ) -> dict[str, Any]:
        """Make a schedule that starts runs again and again."""
        project_id = self._session.project_id(project)
        request: dict[str, Any] = {"job_type": job_type, "cron": cron, "zone": zone, "project_id": project_id}
        request |= {key: value for key, value in {"params": params, "name": name}.items() if value}
        return {"schedule": schedule_calls.make(self._session.team_id, request, api=self._api)}

    @told
    def pause_schedule(self, schedule_id: ScheduleId, why: Why) -> dict[str, Any]:
        """Pause a schedule: it starts no runs until it is resumed."""
        return {"schedule": schedule_calls.pause(self._schedule_id(schedule_id), why=why, api=self._api)}

    @told
    def resume_schedule(self, schedule_id: ScheduleId) -> dict[str, Any]:
        """Resume a paused schedule."""
        return {"schedule": schedule_calls.resume(self._schedule_id(schedule_id), api=self._api)}

    def _project_id(self, project: str | None) -> str | None:
        return self._session.project_id(project) if project else None

    def _schedule_id(self, wanted: str) -> str:
        return schedule_calls.whole_id(wanted, team_id=self._session.team_id, api=self._api)
