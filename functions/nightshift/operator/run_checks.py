"""Checks of runs: do they progress, and do team runs and system runs succeed?"""

from functools import partial
from typing import NamedTuple
from uuid import UUID

from nightshift.base.wording import one_line, short_duration
from nightshift.database.queries import Database
from nightshift.database.run_row import RunState
from nightshift.healing.team_failures import team_failures
from nightshift.operator.checks import Check, Finding, count_of, green, red
from nightshift.operator.sweep_checks import GRACE_S, LONG_S, SWEEP
from nightshift.runs.timeline import explain

DAY_S = 86_400
# Maximum length of an error within a longer line.
ERROR_SHOWN = 300


class FirstInLine(NamedTuple):
    """The run that was due first of those without a worker, and the number of such runs."""

    state: RunState
    waiting: int


class StuckRun(NamedTuple):
    """The run that the sweep should have picked up first, and the number of such runs (stuck_runs.sql)."""

    id: UUID
    job_type: str
    stuck: int
    overdue_s: float


class OldestRun(NamedTuple):
    """The run that has been live the longest, and the number of live runs (oldest_live_run.sql)."""

    id: UUID
    job_type: str
    live: int
    team: str | None
    project: str | None
    age_s: float


class FailedRun(NamedTuple):
    """The system run that failed last, and the number of those that failed in the last day (failed_system_runs.sql)."""

    id: UUID
    job_type: str
    error: str
    failed: int


def checks_of_runs(db: Database, *, lost_slices_limit: int) -> list[Check]:
    return [
        Check("stuck runs", partial(_stuck, db)),
        Check("waiting runs", partial(_waiting, db, lost_slices_limit=lost_slices_limit)),
        Check("live runs", partial(_live, db)),
        Check("team runs", partial(_team_runs, db)),
        Check("system runs", partial(_system_runs, db)),
    ]


def _stuck(db: Database) -> Finding:
    rows = db.query_as(StuckRun, "stuck_runs", grace_s=GRACE_S)
    if not rows:
        return green("none")
    first = rows[0]
    return red(
        f"{count_of(first.stuck, 'stuck run')}: the sweep has not picked {'it' if first.stuck == 1 else 'them'} "
        f"up. Oldest: {first.job_type} {first.id} ({short_duration(first.overdue_s)} overdue)",
        do=SWEEP,
    )


def _waiting(db: Database, *, lost_slices_limit: int) -> Finding:
    first = db.one_as(FirstInLine, "oldest_waiting_run")
    if first is None:
        return green("none")
    state, run = first.state, first.state.run
    why = explain(state, lost_slices_limit=lost_slices_limit).why
    late_s = (state.now - state.due_at).total_seconds()
    says = (
        f"{first.waiting:,}; the first in line is {run.job_type} {run.id}, "
        f"created {short_duration((state.now - run.created_at).total_seconds())} ago: {why}"
    )
    if late_s < LONG_S:
        return green(says)
    return red(
        f"{says}, for {short_duration(late_s)}",
        do="Check the log of WorkerFunction. If workers run but cannot keep up, raise WorkerConcurrency.",
    )


def _live(db: Database) -> Finding:
    run = db.one_as(OldestRun, "oldest_live_run")
    if run is None:
        return green("none")
    whose = f" of {run.team} / {run.project}" if run.team else ""
    return green(
        f"{run.live:,}; the oldest is {run.job_type} {run.id}{whose}, created {short_duration(run.age_s)} ago",
    )


def _team_runs(db: Database) -> Finding:
    found = team_failures(within_s=DAY_S, db=db)
    ended = count_of(found.ended, "run") if found.ended_is_all else f"more than {found.ended:,} runs"
    says = f"{found.failed:,} of {ended} failed in the last day, {found.lately:,} in the last hour"
    if found.run_id is None:
        return green(f"{says}{'; every project has had a success since' if found.failed else ''}")
    commonest = f"{found.job_type} ({found.with_error:,}): {one_line(found.error or '', longest=ERROR_SHOWN)}"
    says += f"; {count_of(found.teams, 'team')} without a success since. Most frequent error: {commonest}"
    if not found.is_for_the_operator:
        return green(says)
    return red(
        says,
        do=f"nightshift system view {found.run_id}. All failed runs: nightshift system runs --all --status failed",
    )


def _system_runs(db: Database) -> Finding:
    run = db.one_as(FailedRun, "failed_system_runs")
    if run is None:
        return green("none failed in the last day")
    return red(
        f"{run.failed:,} failed in the last day; latest: {run.job_type}: {run.error}",
        do=f"nightshift system view {run.id}",
    )
