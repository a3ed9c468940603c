"""The test kit for authors of jobs: run a job at once, kill it, freeze it, replay it, look at its checkpoints.

``job_run("quiet_users")`` triggers a run. Its methods use the executor that works runs on AWS (claim, slices, fence,
sweep) and this test's real Postgres. Only the queue is left out: each slice is started by its number. Nothing sleeps:
every wait of a run ends at once.

    def test_quiet_users_are_marked(job_run, owner):
        run = job_run("quiet_users").finish()
        assert run.result == {"marked": 2}
        assert [step.cursor for step in run.checkpoints] == [{"after": "a"}, {"after": "b"}]

    def test_every_death_leads_to_the_same_end(job_run):
        assert_resumable(job_run, "quiet_users", end=marked)

A worker that is killed here still runs the job's ``finally`` blocks; tests/support/chaos.py kills processes.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from operator import methodcaller
from typing import Any

import pytest

from nightshift.aws import sqs
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.database.run_row import RunState
from nightshift.database.session_pins import pin_session
from nightshift.jobs.author_api import MAX_WAIT_S, Progress, Wait
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs import executor, requests
from nightshift.runs.run_params import check_params
from nightshift.runs.slices import CancelRequested, ClaimedSlice, Slice
from nightshift.testing.database_copy import copy_database
from nightshift.testing.rows import Team, age, make_team, run_row, slices, sweep, work

# A test's job needs fewer. An endless job must fail its test instead of hanging it.
SLICES_AT_MOST = 500


# Raised as Postgres does it: the transaction is aborted, and the error is transient.
DEADLOCK = "DO $$ BEGIN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = 'deadlock_detected'; END $$"


class Killed(BaseException):
    """The worker is gone: no ``except Exception`` of the job or the executor catches this; only the sweep continues."""


@dataclass
class JobRun:
    """One run. Its methods return the run, so that calls can be chained."""

    id: str
    db: Database
    owner: Database
    settings: Settings
    checkpoints: list[Progress | Wait] = field(default_factory=list)
    """Every committed step and wait, in order, as the job yielded it."""
    fate: "Fate | None" = None

    def work(self, *, remaining_s: float = 60) -> "JobRun":
        """Work one slice with ``remaining_s`` left all the time: 1 is enough for one step.

        A pending wait of the run ends at once. If the previous worker died, the sweep takes over the run first.
        """
        self._let_time_pass()
        self._deliver(self.row["slice"], remaining_s=remaining_s)
        return self

    def finish(self, *, remaining_s: float = 60) -> "JobRun":
        """Work slices until the run ends, with any status. Raise AssertionError if it does not end."""
        for _ in range(SLICES_AT_MOST):
            if self.row["completed_at"]:
                return self
            self.work(remaining_s=remaining_s)
        raise AssertionError(f"Still {self.row['status']} after {SLICES_AT_MOST} slices: {self.row}")

    def kill(self, *, after: int | None = None, before: int | None = None) -> "JobRun":
        """Let the worker die right after, or right before, its n-th commit from now. The next worker takes over.

        Each step, each wait and the ending is a commit. Raise AssertionError if there are fewer commits.
        """
        assert (after is None) != (before is None), "kill(after=…) or kill(before=…)"
        return self._meet(Fate("killed", after=after, before=before))

    def fail(self, *, before: int) -> "JobRun":
        """Let a deadlock roll back the step of the n-th commit from now. The step is then tried again.

        Raise AssertionError if there are fewer commits.
        """
        return self._meet(Fate("rolled back", before=before))

    def freeze(self, *, before: int) -> "JobRun":
        """Let the worker freeze right before its n-th commit from now, the sweep take the run, and the worker thaw.

        Raise AssertionError if that stale worker can still change the run, or if there are fewer commits.
        """
        return self._meet(Fate("frozen", before=before))

    def replay(self) -> "JobRun":
        """Repeat every message of this run. Raise AssertionError if that changes the run."""
        row, seen = self.row, len(self.checkpoints)
        for number in range(row["slice"] + bool(row["completed_at"])):
            self._deliver(number)
        assert self.row == row, "A repeated message changed the run"
        assert len(self.checkpoints) == seen, "A repeated message was worked"
        return self

    def again(self, *, from_cursor: bool = False) -> "JobRun":
        """Create a run with the same parameters, from the start or, for a project's job, from this run's cursor."""
        old = self.row
        assert old["project_id"] or not from_cursor, "A system job's run cannot be rerun from its cursor"
        of = {name: old[name] for name in ("team_id", "project_id", "params")}
        of |= {"rerun_of": self.owner.one_as(RunState, "get_any_run", run_id=self.id), "from_cursor": from_cursor}
        made = _trigger(old["job_type"], db=self.db, settings=self.settings, **of)
        return replace(self, id=made, checkpoints=[], fate=None)

    @property
    def row(self) -> dict[str, Any]:
        """Return the whole row of job_runs, as JSON."""
        return run_row(self.owner, self.id)

    @property
    def result(self) -> dict[str, Any]:
        """Return the job's result. Raise AssertionError with the run's error if it is not completed."""
        row = self.row
        assert row["status"] == "completed", f"The run is {row['status']}: {row['error']}"
        result: dict[str, Any] = row["result"]
        return result

    @property
    def slices(self) -> list[list[Any]]:
        """Return ``[slice, outcome, reason]`` of each ended slice, in order."""
        return slices(self.owner, self.id)

    def _deliver(self, number: int, *, remaining_s: float = 60) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(executor, "Slice", partial(_Watched, self))
            with suppress(Killed):
                work(self.id, number, db=self.db, settings=self.settings, remaining_s=remaining_s)

    def _let_time_pass(self) -> None:
        age(self.owner, self.id, MAX_WAIT_S)
        if self.row["lease_expires_at"]:
            # Use a separate connection, because a frozen worker's is in the middle of a step.
            with closing(self.db.sibling(user="nightshift_sweep")) as db:
                sweep(db=db, settings=self.settings)

    def _meet(self, fate: "Fate") -> "JobRun":
        self.fate = fate
        while not fate.is_met:
            assert not self.row["completed_at"], f"The run ended after {fate.commits} commits: {self.row}"
            self.work()
        self.fate = None
        assert fate.row in (None, self.row), "A stale worker changed the run"
        return self

    def strike(self, fate: "Fate", worker: Slice) -> None:
        """Raise Killed or DatabaseBusy; or return to a frozen worker, which has lost the run."""
        fate.is_met = True
        if fate.how == "rolled back":
            worker._db.run_script(DEADLOCK)
        if fate.how == "killed":
            worker._db.close()  # a connection dies with its process; the client does not roll back
            raise Killed
        self._let_time_pass()
        fate.row = self.row


@dataclass
class Fate:
    """A worker's or a step's fate, ``before`` or ``after`` one of its next commits."""

    how: str
    after: int | None = None
    before: int | None = None
    commits: int = 0
    is_met: bool = False
    row: dict[str, Any] | None = None
    """The run after the sweep took it over while its worker was frozen."""


class _Watched(Slice):
    """A worker's slice whose fate can strike around each of its commits."""

    def __init__(self, run: JobRun, claimed: ClaimedSlice, **parts: Any):
        super().__init__(claimed, **parts)
        self.watched = run

    def save(self, step: Progress) -> None:
        with self._commit(step):
            super().save(step)

    def hand_over(self, outcome: str, **how: Any) -> Any:
        if outcome != "waiting":
            return super().hand_over(outcome, **how)
        with self._commit(how["wait"]):
            return super().hand_over(outcome, **how)

    def complete(self, result: dict[str, Any] | None) -> bool:
        with self._commit():
            return super().complete(result)

    def fail(self, error: str) -> bool:
        with self._commit():
            return super().fail(error)

    @contextmanager
    def _commit(self, checkpoint: Progress | Wait | None = None) -> Iterator[None]:
        fate = self.watched.fate
        if fate and fate.commits + 1 == fate.before:
            self.watched.strike(fate, self)
        try:
            yield
        except CancelRequested:
            # Only a step is committed before its worker learns of the cancel.
            if isinstance(checkpoint, Progress):
                self.watched.checkpoints.append(copy.deepcopy(checkpoint))
            raise
        if checkpoint:
            self.watched.checkpoints.append(copy.deepcopy(checkpoint))
        if fate and not fate.is_met:
            fate.commits += 1
            if fate.commits == fate.after:
                self.watched.strike(fate, self)


@dataclass
class JobRuns:
    """``job_run(name, team=…, params=…)``: create a pending run of that job type. No part of it is worked yet."""

    db: Database
    owner: Database
    settings: Settings
    superuser: Database
    somebody: Team | None = None

    def __call__(self, name: str, *, team: Team | None = None, params: dict[str, Any] | None = None) -> JobRun:
        """``team`` owns the project (its ``project_id``) of a project's job; by default a team named "somebody"."""
        job_type = JOB_TYPES[name]
        if job_type.scope == "project":
            team = team or self._somebodys()
        else:
            assert team is None, f"{name} is a system job and has no team"
        project_id = team.project_id if team else None
        checked = check_params(job_type, params or {}, project_id=project_id)
        of = {"team_id": team and team.id, "project_id": project_id, "params": checked["params"]}
        made = _trigger(name, db=self.db, settings=self.settings, **of)
        return JobRun(made, self.db, self.owner, self.settings)

    def _somebodys(self) -> Team:
        self.somebody = self.somebody or make_team(self.owner, slug="somebody")
        return self.somebody

    @contextmanager
    def in_a_copy(self) -> Iterator["JobRuns"]:
        """Yield the same factory for a copy of the current database. This ends all open sessions on the original."""
        source = self.settings.database_name
        self.db.close()
        self.owner.close()
        copied = replace(self.settings, database_name=f"{source}_copy")
        self.superuser.run_script(
            f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{source}'"
        )
        copy_database(self.superuser, source, copied.database_name)
        db, owner = Database(copied), Database(replace(copied, database_user=self.owner._config.database_user))
        pin_session(owner)
        try:
            yield JobRuns(db, owner, copied, self.superuser)
        finally:
            db.close()
            owner.close()
            self.superuser.run_script(f"DROP DATABASE {copied.database_name} WITH (FORCE)")


def _trigger(name: str, *, db: Database, settings: Settings, **of: Any) -> str:
    job_type = JOB_TYPES[name]
    if job_type.scope == "system":
        with closing(db.sibling(user="nightshift_operate")) as operate:
            run = requests.create_system(
                job_type, params=of["params"], triggered_by="system", db=operate, settings=settings
            )
    else:
        wish = requests.Trigger(job_type=job_type, triggered_by="manual:user:somebody", **of)
        with closing(db.sibling(user="nightshift_api")) as api:
            run = requests.create(wish, db=api, settings=settings)
    return str(run.id)


@pytest.fixture
def job_run(
    environment: Settings, db: Database, owner: Database, superuser: Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[JobRuns]:
    """Create runs of registered job types. No message is sent to a queue."""
    monkeypatch.setattr(sqs, "send_message", lambda url, entry: None)
    monkeypatch.setattr(sqs, "send_message_batch", lambda url, entries: [])
    # The job has the rights that it has in production.
    with closing(db.sibling(user="nightshift_worker")) as worker:
        yield JobRuns(worker, owner, environment, superuser)


def assert_resumable(
    job_run: JobRuns,
    name: str,
    *,
    end: Callable[[Database], Any],
    team: Team | None = None,
    params: dict[str, Any] | None = None,
) -> list[Progress | Wait]:
    """Assert that disturbed runs end like an undisturbed run. Return the undisturbed run's checkpoints.

    Each run starts in a copy of the database that the test has arranged. One run is killed after the first step, one
    after the second, and so on. In one run a deadlock rolls back the first step, which is tried again; in the next run
    the second step, and so on to the ending. Three runs are killed, frozen or rolled back before every commit. At the
    end, all messages of each run are repeated. All runs must end with the same status, result and error, and ``end``,
    which reads the copy as the schema owner, must return the same value. So the job must take the same steps each time.
    It should take few: a copy takes a tenth of a second or more.
    """

    def outcome(disturb: Callable[[JobRun], object]) -> tuple[JobRun, Any]:
        with job_run.in_a_copy() as copied:
            run = copied(name, team=team, params=params)
            disturb(run)
            row = run.finish().replay().row
            return run, (row["status"], row["result"], row["error"], end(copied.owner))

    undisturbed, expected = outcome(lambda run: None)
    steps = len(undisturbed.checkpoints)
    assert steps, f"{name} yields nothing: it has no checkpoint to continue from"

    def all_along(how: str, run: JobRun) -> None:
        getattr(run, how)(before=1)
        for _ in range(steps):
            getattr(run, how)(before=2)  # the lost step is repeated, then the worker dies in the next one

    for number in range(1, steps + 1):
        _, found = outcome(methodcaller("kill", after=number))
        assert found == expected, f"{name} ends differently when it is killed after step {number}"
    for how in ("kill", "freeze", "fail"):
        _, found = outcome(partial(all_along, how))
        assert found == expected, f"{name} ends differently after a {how} before each commit"
    for number in range(1, steps + 2):
        _, found = outcome(methodcaller("fail", before=number))
        assert found == expected, f"{name} ends differently when step {number} is rolled back and tried again"
    return undisturbed.checkpoints
