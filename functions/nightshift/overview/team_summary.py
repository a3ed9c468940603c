"""The overview of a team: is its data fresh, and do its jobs work? One entry for each project and job type."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any, NamedTuple
from uuid import UUID

from nightshift.base.errors import Refused
from nightshift.base.paging import fitting
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database
from nightshift.jobs.registry import JOB_TYPES
from nightshift.overview.error_groups import Failure, grouped
from nightshift.overview.figures import MOST_RECENT, day_names, figures_of, first_day
from nightshift.schedules.zoned_cron import zoned_cron
from nightshift.tenants.projects import require_project

# Projects of a team that are looked at, by their names, and entries of an answer.
MOST_PROJECTS, MOST_JOBS = 1000, 200
# The newest failures that are grouped, and the groups of an answer.
MOST_FAILURES, MOST_GROUPS = 1000, 10
MOST_SCHEDULES = 1000
# A job is late if its last success is older than this many times the longest gap between its next slots.
LATE_GAPS, GAPS_LOOKED_AT = 2, 5

# The order of the entries: first those that need a look.
STATES = ("failing", "late", "new", "fresh", "unscheduled")


class JobRow(NamedTuple):
    """A project and a job type, as summary_of_team.sql returns them."""

    project_id: UUID
    project_name: str
    job_type: str
    days: list[list[Any]] | None
    completed_id: UUID | None
    last_completed_at: datetime | None
    failed_id: UUID | None
    last_failed_at: datetime | None
    error: str | None
    live_id: UUID | None
    live_status: str | None
    live_progress: dict[str, Any] | None
    counted_until: datetime | None


class Plan(NamedTuple):
    """The next slot of a job, and the longest gap between its next slots; None if it starts once."""

    schedule_id: UUID
    at: datetime
    gap: timedelta | None


def summary(
    team_id: str, *, project_id: str | None, job_type: str | None, now: datetime, db: Database
) -> dict[str, Any]:
    """Return the team's overview of the last 14 days in UTC. Raises NotFound for a project of another team."""
    first = first_day(now)
    of_projects = [name for name, each in JOB_TYPES.items() if each.scope == "project"]
    rows = db.query_as(
        JobRow,
        "summary_of_team",
        team_id=team_id,
        project_id=project_id,
        job_types=[name for name in of_projects if job_type in (None, name)],
        first_day=first,
        projects=MOST_PROJECTS,
        at_most=MOST_RECENT,
    )
    if not rows and project_id:
        require_project(project_id, team_id=team_id, db=db)
    failures = db.query_as(
        Failure,
        "recent_failures",
        team_id=team_id,
        project_id=project_id,
        job_type=job_type,
        since=datetime.combine(first, datetime.min.time(), UTC),
        at_most=MOST_FAILURES,
    )
    plans = _plans(team_id, db=db)
    entries = [_entry(row, plans.get((row.project_id, row.job_type)), now=now) for row in rows]
    jobs = sorted((entry for entry in entries if entry), key=lambda entry: STATES.index(entry["state"]))
    page = jobs[: fitting(jobs[:MOST_JOBS])]
    return {
        "days": day_names(first),
        "counted_until": timestamp(rows[0].counted_until) if rows else None,
        "states": {state: sum(job["state"] == state for job in jobs) for state in STATES},
        "jobs": page,
        "jobs_left_out": len(jobs) - len(page),
        "errors": grouped(failures, at_most=MOST_GROUPS),
        "failures_looked_at": len(failures),
        "has_more_failures": len(failures) == MOST_FAILURES,
    }


def _plans(team_id: str, *, db: Database) -> dict[tuple[UUID, str], Plan]:
    """Return the next slot of each project and type that has a schedule, and the shortest of its schedules' gaps."""
    plans: dict[tuple[UUID, str], Plan] = {}
    for row in db.query("next_slots", team_id=team_id, at_most=MOST_SCHEDULES):
        plan = Plan(row["id"], row["next_slot"], _longest_gap(row["cron"], row["zone"], row["next_slot"]))
        known = plans.setdefault((row["project_id"], row["job_type"]), plan)
        if known.gap is None or (plan.gap and plan.gap < known.gap):
            plans[row["project_id"], row["job_type"]] = known._replace(gap=plan.gap)
    return plans


# The slots of a schedule with many a day take milliseconds, and a team's schedules often share their times.
@lru_cache(maxsize=MOST_SCHEDULES)
def _longest_gap(cron: str | None, zone: str, slot: datetime) -> timedelta | None:
    if cron is None:
        return None
    try:
        slots = [slot, *islice(zoned_cron(cron, zone).slots_after(slot), GAPS_LOOKED_AT)]
    except Refused:
        # An earlier release may know fewer zones.
        return None
    return max(later - earlier for earlier, later in pairwise(slots))


def _entry(row: JobRow, plan: Plan | None, *, now: datetime) -> dict[str, Any] | None:
    """Return the entry of a project and type; None if it has neither run nor a schedule."""
    if not (row.days or row.completed_id or row.failed_id or row.live_id or plan):
        return None
    last_failed = _last(row.failed_id, row.last_failed_at)
    return {
        "project_id": str(row.project_id),
        "project": row.project_name,
        "job_type": row.job_type,
        "state": _state(row, plan, now=now),
        "last_completed": _last(row.completed_id, row.last_completed_at),
        "last_failed": last_failed and last_failed | {"error": row.error},
        "live": row.live_id and {"run_id": str(row.live_id), "status": row.live_status, "progress": row.live_progress},
        "next": plan and {"schedule_id": str(plan.schedule_id), "at": timestamp(plan.at)},
        **figures_of(row.days or []),
    }


def _state(row: JobRow, plan: Plan | None, *, now: datetime) -> str:
    """Return whether the data is fresh, as docs/overview.md describes it."""
    succeeded = row.last_completed_at
    if row.last_failed_at and (succeeded is None or row.last_failed_at > succeeded):
        return "failing"
    if succeeded is None:
        return "new"
    if plan is None or plan.gap is None:
        return "unscheduled"
    return "late" if now - succeeded > LATE_GAPS * plan.gap else "fresh"


def _last(run_id: UUID | None, at: datetime | None) -> dict[str, Any] | None:
    return {"run_id": str(run_id), "at": timestamp(at)} if run_id else None
