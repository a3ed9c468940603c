"""Pauses of a team: a job type starts no runs of one project, for a while. The operator's pauses stand above them.

A pause prevents new runs, also those of schedules. Live runs continue.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from nightshift.base.errors import NotFound, Refused
from nightshift.base.validation import shown
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database
from nightshift.jobs.job_type import JobType
from nightshift.tenants import audit
from nightshift.tenants.audit import Author

# An end that is further away is rather a mistake in the year.
MOST_AHEAD = timedelta(days=366)


class ProjectPause(NamedTuple):
    """A pause that stops a project's job: by its team (``project``), or for all teams by the operator (``type``)."""

    job_type: str
    what: str
    paused_by: str
    why: str
    paused_at: datetime
    until: datetime | None

    def as_json(self) -> dict[str, object]:
        return {
            "job_type": self.job_type,
            "what": self.what,
            "since": timestamp(self.paused_at),
            "by": self.paused_by,
            "why": self.why,
            "until": timestamp(self.until),
        }

    def sentence(self, *, label: str) -> str:
        """Return ``RevenueCat Sync is paused for this project (since 2026-11-23 03:00 UTC, by the team): a move``."""
        by = "the team" if self.what == "project" else self.paused_by
        until = f", until {self.until:%Y-%m-%d %H:%M} UTC" if self.until else ""
        paused = "paused for this project" if self.what == "project" else "paused"
        return f"{label} is {paused} (since {self.paused_at:%Y-%m-%d %H:%M} UTC{until}, by {by}): {self.why}"


def pauses_of(project_id: str, job_types: Sequence[str], *, db: Database) -> list[ProjectPause]:
    """Return the pauses that stop these jobs of the project, those of the operator first."""
    return db.query_as(ProjectPause, "list_project_pauses", project_id=project_id, job_types=list(job_types))


def pause(
    job_type: JobType, *, project_id: str, team_id: str, why: str, until: datetime | None, now: datetime,
    author: Author, db: Database
) -> ProjectPause:  # fmt: skip
    """Pause the job type for the project, or change its pause, and return it. Raises Refused for a bad ``until``."""
    if until and not now < until <= now + MOST_AHEAD:
        raise Refused(f"until must be in the future, within a year, got {shown(timestamp(until))}")
    with db.transaction():
        [made] = db.query_as(
            ProjectPause,
            "store_project_pause",
            project_id=project_id,
            job_type=job_type.name,
            paused_by=author.triggered_by,
            why=why,
            until=until,
        )
        audit.record(
            db, author, "job_type.paused", of=("job_type", job_type.name), team_id=team_id,
            project_id=project_id, job_type=job_type.name, why=why, until=timestamp(until),
        )  # fmt: skip
    return made


def resume(job_type: JobType, *, project_id: str, team_id: str, author: Author, db: Database) -> None:
    """End the team's pause. Raises NotFound if there is none: a pause of the operator is not the team's to end."""
    with db.transaction():
        if not db.query("delete_project_pause", project_id=project_id, job_type=job_type.name):
            held = pauses_of(project_id, [job_type.name], db=db)
            above = ". The operator has paused it, and only the operator can resume it" if held else ""
            raise NotFound(f"The team has not paused {job_type.label} for this project{above}")
        audit.record(
            db, author, "job_type.resumed", of=("job_type", job_type.name), team_id=team_id,
            project_id=project_id, job_type=job_type.name,
        )  # fmt: skip
