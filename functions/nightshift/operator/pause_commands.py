"""The commands that pause and resume a job type, or only its schedule."""

from typing import Annotated, Any

from pydantic import StringConstraints

from nightshift.base.errors import Refused
from nightshift.base.validation import shown
from nightshift.database.queries import Database
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs import pauses
from nightshift.tenants import audit
from nightshift.tenants.audit import Author

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


def pause(
    *, job_type: str, why: Words, by: Words, schedule_only: bool = False, db: Database, author: Author
) -> dict[str, Any]:
    """Pause a job type and return ``{"paused": {"job_type", "what", "since", "by", "why"}}``.

    Raise Refused if it is already paused.
    """
    wanted = _known(job_type)
    if schedule_only and wanted.scope == "system" and wanted.schedule is None:
        raise Refused(f"{wanted.label} has no schedule to pause")
    db.query("ping", again_if_gone=True)
    what = "schedule" if schedule_only else "type"
    with db.transaction():
        paused = pauses.pause(wanted, what=what, by=by, why=why, db=db)
        audit.record(
            db, author, "job_type.paused", of=("job_type", wanted.name), team_id=None, what=what, by=by, why=why
        )
    return {"paused": paused}


def resume(*, job_type: str, db: Database, author: Author) -> dict[str, Any]:
    """Resume a job type and its schedule. Return ``{"resumed": [pause, …]}``. Raise Refused if neither is paused."""
    db.query("ping", again_if_gone=True)
    wanted = _known(job_type)
    with db.transaction():
        ended = pauses.resume(wanted, db=db)
        resumed = [pause["what"] for pause in ended]
        audit.record(db, author, "job_type.resumed", of=("job_type", wanted.name), team_id=None, what=resumed)
    return {"resumed": ended}


def _known(name: str) -> JobType:
    if name not in JOB_TYPES:
        raise Refused(f"job_type must be one of {', '.join(JOB_TYPES)}, got {shown(name)}")
    return JOB_TYPES[name]
