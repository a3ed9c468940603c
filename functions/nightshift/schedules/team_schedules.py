"""The schedules that teams make for the jobs of their projects: list, make, change, pause, resume and delete."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from nightshift.base.errors import Conflict, NotFound, Refused
from nightshift.base.settings import Settings
from nightshift.base.validation import shown
from nightshift.base.wording import duration, timestamp
from nightshift.database.queries import Database, Row
from nightshift.jobs.job_type import JobType
from nightshift.runs.run_params import check_params
from nightshift.schedules.cron_words import in_words
from nightshift.schedules.zoned_cron import ZonedCron, zoned_cron
from nightshift.tenants import audit
from nightshift.tenants.audit import Author
from nightshift.tenants.projects import require_project

NEXT_SLOTS = 5
MAX_NAME, MAX_WHY = 100, 500
# A start that is further away is rather a mistake in the year.
MOST_AHEAD = timedelta(days=366)
MAX_SCHEDULES = 1000


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a caller chooses of a schedule. It has a ``cron``, or it starts once, at ``run_at``."""

    project_id: str
    params: Mapping[str, Any]
    cron: str | None = None
    run_at: datetime | None = None
    zone: str = "UTC"
    name: str = ""
    notify: bool = False


class Inserted(NamedTuple):
    """The answer of insert_team_schedule.sql."""

    has_project: bool
    id: str | None
    same_id: str | None


class Stored(NamedTuple):
    """A schedule that is about to be changed (lock_team_schedule.sql)."""

    job_type: str
    team_id: str
    project_id: str
    name: str
    cron: str | None
    run_at: datetime | None
    zone: str
    params: dict[str, Any]
    notify: bool
    next_slot: datetime | None
    paused_at: datetime | None

    @property
    def has_started_once(self) -> bool:
        return self.cron is None and self.next_slot is None and self.paused_at is None


def make(
    job_type: JobType, wanted: Wanted, *, team_id: str, author: Author, now: datetime, db: Database, settings: Settings
) -> dict[str, Any]:
    """Store the schedule and return it. A start at one time that exists already is returned as it is.

    Raises Refused naming a bad field, NotFound (project), and Conflict with ``existing_schedule_id``, or without it if
    the team has as many schedules as it may have.
    """
    columns = _columns(job_type, wanted, now=now, settings=settings)
    schedule_id = str(uuid.uuid4())
    with db.transaction():
        db.query("lock_schedules_of_team", team_id=team_id)
        answer = db.query_as(
            Inserted,
            "insert_team_schedule",
            id=schedule_id,
            project_id=wanted.project_id,
            team_id=team_id,
            job_type=job_type.name,
            created_by=author.triggered_by,
            at_most=settings.schedules_per_team,
            **columns,
        )[0]
        if answer.id:
            _record(db, author, "schedule.made", schedule_id, team_id=team_id, job_type=job_type.name, **_told(columns))
    if not answer.has_project:
        raise NotFound("Project not found")
    if answer.same_id and wanted.run_at is None:
        raise Conflict(
            "This schedule exists already: the project has one with this job type, time and parameters",
            existing_schedule_id=answer.same_id,
        )
    if answer.id is None and answer.same_id is None:
        raise Conflict(f"This team has {settings.schedules_per_team:,} schedules, which is the limit. Delete one first")
    return get(answer.id or str(answer.same_id), db=db)


def change(
    schedule_id: str, changes: Mapping[str, Any], *, job_types: Mapping[str, JobType], author: Author, now: datetime,
    db: Database, settings: Settings
) -> dict[str, Any]:  # fmt: skip
    """Change these fields of the schedule and return it. It counts its skipped slots anew.

    Raises Refused naming a bad field, NotFound, and Conflict if the project has the same schedule.
    """
    with db.transaction():
        stored = _locked(schedule_id, db=db)
        if stored.has_started_once:
            raise Refused("This schedule has started its one run. Make a new one")
        if stored.job_type not in job_types:
            raise Refused(f"This release has no job type {stored.job_type}. Delete the schedule")
        wanted = Wanted(
            project_id=stored.project_id, params=stored.params, cron=stored.cron, run_at=stored.run_at,
            zone=stored.zone, name=stored.name, notify=stored.notify,
        )  # fmt: skip
        wanted = replace(wanted, **changes)
        columns = _columns(job_types[stored.job_type], wanted, now=now, settings=settings)
        if not db.query("change_team_schedule", schedule_id=schedule_id, **columns):
            raise Conflict("Another schedule of the project has this job type, time and parameters")
        _record(db, author, "schedule.changed", schedule_id, team_id=stored.team_id, **_told(columns))
    return get(schedule_id, db=db)


def pause(schedule_id: str, *, why: str, author: Author, db: Database) -> dict[str, Any]:
    """Pause the schedule with the reason and return it. Raises Refused if it is paused or will not start again."""
    with db.transaction():
        stored = _locked(schedule_id, db=db)
        if stored.next_slot is None:
            said = "is already paused" if stored.paused_at else "has started its one run"
            raise Refused(f"This schedule {said}")
        db.query("pause_team_schedule", schedule_id=schedule_id, by=author.triggered_by, why=why)
        _record(db, author, "schedule.paused", schedule_id, team_id=stored.team_id, name=stored.name, why=why)
    return get(schedule_id, db=db)


def resume(schedule_id: str, *, author: Author, now: datetime, db: Database) -> dict[str, Any]:
    """End the pause and return the schedule. Raises Refused if it is not paused, or if its one time has passed."""
    with db.transaction():
        stored = _locked(schedule_id, db=db)
        if stored.paused_at is None:
            raise Refused("This schedule is not paused")
        if stored.run_at and stored.run_at <= now:
            raise Refused("The one time of this schedule has passed while it was paused. Make a new one")
        cron = stored.cron and zoned_cron(stored.cron, stored.zone)
        next_slot = next(cron.slots_after(now)) if cron else stored.run_at
        db.query("resume_team_schedule", schedule_id=schedule_id, next_slot=next_slot)
        _record(db, author, "schedule.resumed", schedule_id, team_id=stored.team_id, name=stored.name)
    return get(schedule_id, db=db)


def delete(schedule_id: str, *, author: Author, db: Database) -> None:
    """Delete the schedule. Its runs stay. Raises NotFound if another caller has deleted it."""
    with db.transaction():
        stored = _locked(schedule_id, db=db)
        db.query("delete_team_schedule", schedule_id=schedule_id)
        _record(db, author, "schedule.deleted", schedule_id, team_id=stored.team_id, name=stored.name)


def get(schedule_id: str, *, db: Database) -> dict[str, Any]:
    """Return the schedule. Raises NotFound also for one whose project is deleted."""
    found, _ = _list(schedule_id=schedule_id, db=db)
    if not found:
        raise NotFound("Schedule not found")
    return found[0]


def list_of_team(
    team_id: str, *, project_id: str | None, job_type: str | None, db: Database
) -> tuple[list[dict[str, Any]], bool]:
    """Return the team's schedules, newest first, and whether there are more than the answer holds.

    Raises NotFound for a project of another team.
    """
    found, has_more = _list(team_id=team_id, project_id=project_id, job_type=job_type, db=db)
    if not found and project_id:
        require_project(project_id, team_id=team_id, db=db)
    return found, has_more


def slots(schedule_id: str, *, before: datetime | None, limit: int, db: Database) -> tuple[list[dict[str, Any]], bool]:
    """Return the last slots of the schedule before this time, newest first, and whether older ones are kept."""
    rows = db.query("list_team_slots", schedule_id=schedule_id, before=before, limit=limit + 1)
    return [_slot_as_json(row) | {"status": row["status"]} for row in rows[:limit]], len(rows) > limit


def preview(cron: str, zone: str, *, now: datetime, settings: Settings) -> dict[str, Any]:
    """Return ``{"cron", "zone", "said", "next"}``: an expression in words, and its next times.

    Raises Refused if a team's schedule could not have it.
    """
    parsed = _allowed(cron, zone, settings=settings)
    return {
        "cron": cron,
        "zone": zone,
        "said": in_words(parsed.cron),
        "next": [timestamp(slot) for slot in islice(parsed.slots_after(now), NEXT_SLOTS)],
    }


def _columns(job_type: JobType, wanted: Wanted, *, now: datetime, settings: Settings) -> dict[str, Any]:
    """Check what the caller chose. Return the columns of the schedule. Raises Refused naming a bad field."""
    params = check_params(job_type, dict(wanted.params), project_id=wanted.project_id)["asked"]
    if wanted.cron is not None:
        cron = _allowed(wanted.cron, wanted.zone, settings=settings)
        next_slot, said = next(cron.slots_after(now)), in_words(cron.cron)
    elif wanted.run_at and now < wanted.run_at <= now + MOST_AHEAD:
        next_slot, said = wanted.run_at, f"Once, at {wanted.run_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    else:
        raise Refused(f"run_at must be in the future, within a year, got {shown(timestamp(wanted.run_at))}")
    return {
        "name": wanted.name.strip() or said,
        "cron": wanted.cron,
        "run_at": wanted.run_at,
        "zone": wanted.zone,
        "params": params,
        "notify": wanted.notify,
        "next_slot": next_slot,
    }


def _allowed(cron: str, zone: str, *, settings: Settings) -> ZonedCron:
    parsed = zoned_cron(cron, zone)
    least_s, shortest_s = 60 * settings.schedule_interval_minutes, parsed.cron.shortest_gap.total_seconds()
    if shortest_s < least_s:
        raise Refused(
            f"cron: {shown(cron)} has times that are {duration(shortest_s)} apart; on this server, a team's schedule "
            f"must leave {duration(least_s)} between two of them"
        )
    return parsed


def _record(db: Database, author: Author, action: str, schedule_id: str, *, team_id: str, **details: Any) -> None:
    audit.record(db, author, action, of=("schedule", schedule_id), team_id=team_id, **details)


def _told(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the audit tells of a schedule's columns."""
    return {name: columns[name] for name in ("name", "cron", "zone", "params")} | {
        "run_at": timestamp(columns["run_at"])
    }


def _locked(schedule_id: str, *, db: Database) -> Stored:
    stored = db.one_as(Stored, "lock_team_schedule", schedule_id=schedule_id)
    if stored is None:
        raise NotFound("Schedule not found")
    return stored


def _list(
    *, db: Database, schedule_id: str | None = None, team_id: str | None = None, project_id: str | None = None,
    job_type: str | None = None
) -> tuple[list[dict[str, Any]], bool]:  # fmt: skip
    rows = db.query(
        "list_team_schedules",
        schedule_id=schedule_id,
        team_id=team_id,
        project_id=project_id,
        job_type=job_type,
        limit=MAX_SCHEDULES + 1,
    )
    return [_as_json(row) for row in rows[:MAX_SCHEDULES]], len(rows) > MAX_SCHEDULES


def _as_json(row: Row) -> dict[str, Any]:
    said, following = _times_of(row)
    paused = row["paused_at"] and {
        "since": timestamp(row["paused_at"]),
        "by": row["paused_by"],
        "why": row["paused_why"],
    }
    return {
        "id": str(row["id"]),
        "team_id": str(row["team_id"]),
        "project_id": str(row["project_id"]),
        "job_type": row["job_type"],
        "name": row["name"],
        "cron": row["cron"],
        "run_at": timestamp(row["run_at"]),
        "zone": row["zone"],
        "said": said,
        "params": row["params"],
        "notify": row["notify"],
        "created_by": row["created_by"],
        "maker_has_left": row["maker_has_left"],
        "created_at": timestamp(row["created_at"]),
        "updated_at": timestamp(row["updated_at"]),
        "paused": paused,
        "skipped": row["skipped"],
        "next": [timestamp(slot) for slot in following],
        "last": _slot_as_json(row) if row["slot"] else None,
    }


def _times_of(row: Row) -> tuple[str, list[datetime]]:
    """Return a schedule's times in words, and the next ones."""
    slot = row["next_slot"]
    if row["cron"] is None:
        return "Once", [slot] if slot else []
    try:
        cron = zoned_cron(row["cron"], row["zone"])
    except Refused as exc:
        # A later release may know fewer zones. The others in the list are shown all the same.
        return str(exc), []
    return in_words(cron.cron), [slot, *islice(cron.slots_after(slot), NEXT_SLOTS - 1)] if slot else []


def _slot_as_json(row: Row) -> dict[str, Any]:
    run_id: UUID | None = row["run_id"]
    return {
        "slot": timestamp(row["slot"]),
        "outcome": row["outcome"],
        "reason": row["reason"],
        "run_id": run_id and str(run_id),
    }
