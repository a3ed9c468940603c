"""A project or its team is soft-deleted: its live runs stop within a minute, and their remaining work is not done."""

import pytest

from nightshift.jobs import Progress, Wait
from nightshift.testing.rows import make_team, run_row, sweep, work
from tests.support.world import claim, trigger


@pytest.fixture
def team(owner):
    return make_team(owner)


@pytest.fixture
def run(team, db, cloud):
    return trigger(team, db=db, settings=cloud, triggered_by=f"manual:user:{team.users['admin']}", notify=True)


def delete(owner, table, id_):
    owner.run_script(f"UPDATE {table} SET deleted_at = now() WHERE id = '{id_}'")


def swept(db, cloud):
    counts = sweep(db=db, settings=cloud)
    assert counts["set_aside"] == 0
    return counts["stopped"], counts["ended"]


@pytest.mark.parametrize("what", ["projects", "teams"])
def test_a_run_that_no_worker_holds_ends_with_its_mail(what, team, run, db, cloud, owner):
    assert swept(db, cloud) == (0, 0)
    delete(owner, what, team.project_id if what == "projects" else team.id)
    assert swept(db, cloud) == (1, 1)
    row = run_row(owner, run["id"])
    assert (row["status"], row["cancel_requested_by"], row["resend_at"]) == ("cancelled", "sweep", None)
    assert owner.run_script("SELECT recipient FROM job_outbox WHERE run_id IS NOT NULL") == [["admin@owls.example"]]
    assert swept(db, cloud) == (0, 0)


def test_a_run_that_waits_for_long_does_not_wake_up(team, run, db, cloud, owner, monkeypatch):
    def waits(run, db):
        yield Wait(seconds=80_000, why="tomorrow", cursor={"at": 1})

    monkeypatch.setattr("nightshift.jobs.registry.JobType.handler", lambda self: waits)
    work(run["id"], 0, db=db, settings=cloud)
    assert run_row(owner, run["id"])["waiting_for"] == "tomorrow"
    delete(owner, "projects", team.project_id)
    assert swept(db, cloud) == (1, 1)
    assert run_row(owner, run["id"])["waiting_for"] is None


def test_a_worker_stops_at_its_next_step_and_is_asked_once(team, run, db, connect, cloud, owner, monkeypatch):
    steps, asked, other = [], [], connect()

    def counts(run, db):
        for step in (1, 2, 3):
            steps.append(step)
            if step == 2:
                delete(owner, "projects", team.project_id)
                asked.extend(sweep(db=other, settings=cloud) for _ in range(2))
            yield Progress(processed=step, total=3, message="", cursor={"at": step})
        return {}

    monkeypatch.setattr("nightshift.jobs.registry.JobType.handler", lambda self: counts)
    work(run["id"], 0, db=db, settings=cloud)
    row = run_row(owner, run["id"])
    assert [{name: count for name, count in counts.items() if count} for counts in asked] == [{"stopped": 1}, {}]
    assert (steps, row["status"], row["cursor"]) == ([1, 2], "cancelled", {"at": 2})


def test_a_worker_that_is_lost_meanwhile_ends_it_as_cancelled(team, run, db, cloud, owner):
    claim(db, run["id"], 0, lease_s=0)
    delete(owner, "teams", team.id)
    assert swept(db, cloud) == (1, 1)
    assert run_row(owner, run["id"])["status"] == "cancelled"


def test_a_cancel_that_came_first_stands(team, run, db, cloud, owner):
    claim(db, run["id"], 0)
    db.query("cancel_run", run_id=run["id"], requested_by="manual:user:ada")
    delete(owner, "projects", team.project_id)
    assert swept(db, cloud) == (0, 0)
    assert run_row(owner, run["id"])["cancel_requested_by"] == "manual:user:ada"


def test_the_team_counts_that_has_the_project_now(team, run, db, cloud, owner):
    heir = make_team(owner, slug="heir")
    owner.run_script(f"UPDATE projects SET team_id = '{heir.id}', slug = 'moved' WHERE id = '{team.project_id}'")
    delete(owner, "teams", team.id)
    assert swept(db, cloud) == (0, 0)
    assert run_row(owner, run["id"])["status"] == "pending"


def test_what_was_restored_in_time_goes_on(team, run, db, cloud, owner):
    delete(owner, "projects", team.project_id)
    owner.run_script("UPDATE projects SET deleted_at = NULL")
    assert db.query("stop_deleted", keys=[str(run["id"])]) == []
    assert swept(db, cloud) == (0, 0)
