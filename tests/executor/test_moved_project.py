"""A project moves to another team: its new data belong only to that team, and invisible runs do not block it."""

import pytest

from nightshift.jobs import Progress, Wait
from nightshift.runs.executor import work as work_slice
from nightshift.testing.rows import make_team, run_row, sweep, work
from tests.api.test_api import Api
from tests.support.fixtures import JWT_SECRET
from tests.support.world import store_keys, token

SENTENCE = "A job of this type is already running or pending"


@pytest.fixture
def old(owner):
    team = make_team(owner, slug="old")
    store_keys(owner)
    return team


@pytest.fixture
def new(owner):
    team = make_team(owner, slug="new")
    store_keys(owner)
    return team


@pytest.fixture
def was(cloud, old):
    """Return the API for an admin of the project's former team."""
    return Api(f"Bearer {token(old.users['admin'], JWT_SECRET)}")


@pytest.fixture
def now_is(cloud, new):
    """Return the API for an admin of the project's current team."""
    return Api(f"Bearer {token(new.users['admin'], JWT_SECRET)}")


@pytest.fixture
def move(owner, old, new):
    def move():
        owner.run_script(
            f"UPDATE projects SET team_id = '{new.id}', slug = 'moved', name = 'Moved' WHERE id = '{old.project_id}'"
        )

    return move


@pytest.fixture
def job(monkeypatch):
    def use(steps):
        monkeypatch.setattr("nightshift.jobs.registry.JobType.handler", lambda self: steps)

    return use


def trigger(api, team, project_id, *, status=201, key=None, **body):
    path, headers = f"/v1/teams/{team.id}/jobs/trigger", {"idempotency-key": key} if key else {}
    got, answer = api("POST", path, {"job_type": "revenuecat_sync", "project_id": project_id} | body, headers=headers)
    assert got == status, answer
    return answer["job_run"]["id"] if status == 201 else answer


def sees(api, team, run_id):
    """Return the results by id, by timeline and in the lists, as ``(status, status, whether)``."""
    path = f"/v1/teams/{team.id}/jobs"
    lists = [api("GET", path), api("GET", path, id_prefix=run_id[:8])]
    [listed] = {run_id in [run["id"] for run in answer["job_runs"]] for _, answer in lists}
    return api("GET", f"/v1/jobs/{run_id}")[0], api("GET", f"/v1/jobs/{run_id}/timeline")[0], listed


def test_the_new_team_sees_and_stops_the_run_that_stands_in_its_way(was, now_is, old, new, move):
    run_id = trigger(was, old, old.project_id)
    move()
    answer = trigger(now_is, new, old.project_id, status=409)
    assert answer == {"error": SENTENCE, "existing_run_id": run_id}
    assert now_is("GET", f"/v1/jobs/{run_id}")[1]["job_run"]["team_id"] == new.id
    assert now_is("POST", f"/v1/jobs/{run_id}/cancel") == (200, {"cancelled": True})
    trigger(now_is, new, old.project_id)


def test_the_old_team_sees_nothing_of_a_live_run_from_that_moment_on(was, old, move):
    run_id = trigger(was, old, old.project_id, key="k")
    assert sees(was, old, run_id) == (200, 200, True)
    move()
    assert sees(was, old, run_id) == (404, 404, False)
    assert was("POST", f"/v1/jobs/{run_id}/cancel")[0] == 404
    assert was("POST", f"/v1/jobs/{run_id}/rerun")[0] == 404
    assert trigger(was, old, old.project_id, key="k", status=404) == {"error": "Project not found"}


def test_the_old_teams_key_is_free_for_another_project_from_that_moment_on(was, old, move, owner):
    run_id = trigger(was, old, old.project_id, key="k")
    move()
    [[other]] = owner.run_script(
        f"INSERT INTO projects (team_id, name, slug) VALUES ('{old.id}', 'Other', 'other') RETURNING id"
    )
    store_keys(owner)
    again = trigger(was, old, str(other), key="k")
    assert again != run_id
    assert trigger(was, old, str(other), key="k") == again
    assert run_row(owner, run_id)["status"] == "pending"


def test_the_next_sweep_gives_it_to_the_new_team_also_where_it_waits_for_long(
    was, now_is, old, new, move, db, cloud, owner, job
):
    def waits(run, db):
        yield Progress(processed=1, total=2, message="half", cursor={"at": 1})
        yield Wait(seconds=2 * 86_400, why="the day after tomorrow", cursor={"at": 2})

    job(waits)
    run_id = trigger(was, old, old.project_id, key="k")
    work(run_id, 0, db=db, settings=cloud)
    move()
    assert sweep(db=db, settings=cloud)["rehomed"] == 1
    assert sees(now_is, new, run_id) == (200, 200, True)
    assert sees(was, old, run_id) == (404, 404, False)
    row = run_row(owner, run_id)
    assert (row["team_id"], row["idempotency_key"]) == (new.id, None)
    assert sweep(db=db, settings=cloud)["rehomed"] == 0


def test_a_run_that_ends_after_the_move_ends_with_the_new_team(was, now_is, old, new, move, db, cloud, owner, job):
    owner.run_script("UPDATE job_deployment SET wants_events = true")

    def moves(run, db):
        yield Progress(processed=1, total=2, message="before", cursor={"at": 1})
        move()
        yield Progress(processed=2, total=2, message="after", cursor={"at": 2})
        return {"secret": "of the new team"}

    job(moves)
    run_id = trigger(was, old, old.project_id, notify=True, key="k")
    work(run_id, 0, db=db, settings=cloud)
    assert run_row(owner, run_id)["status"] == "completed"
    assert sees(was, old, run_id) == (404, 404, False)
    assert sees(now_is, new, run_id) == (200, 200, True)
    # The event names the owning team. No mail leads the requesting user to another team's run.
    assert owner.run_script("SELECT kind FROM job_outbox") == [["event"]]
    [[outbox_id]] = owner.run_script("SELECT id FROM job_outbox")
    claim = {"kind": "event", "claim_s": 60, "retry_delay_s": 60, "retry_ceiling_s": 3600}
    [claimed] = db.query("claim_outbox", outbox_ids=[str(outbox_id)], **claim)
    assert (str(claimed["team_id"]), str(claimed["project_id"])) == (new.id, old.project_id)
    assert trigger(was, old, old.project_id, key="k", status=404) == {"error": "Project not found"}


def test_a_person_of_both_teams_still_gets_the_mail(was, old, new, move, db, cloud, owner, job):
    def completes(run, db):
        yield from ()
        return {}

    job(completes)
    run_id = trigger(was, old, old.project_id, notify=True)
    owner.run_script(f"INSERT INTO team_members VALUES ('{new.id}', '{old.users['admin']}', 'admin')")
    move()
    work_slice(run_id, 0, db=db, settings=cloud, remaining_s=lambda: 60, request_id="r")
    assert owner.run_script("SELECT recipient FROM job_outbox") == [["admin@old.example"]]


def test_what_ended_before_the_move_stays_with_the_team_that_ran_it(was, now_is, old, new, move):
    run_id = trigger(was, old, old.project_id)
    was("POST", f"/v1/jobs/{run_id}/cancel")
    move()
    assert sees(was, old, run_id) == (200, 200, True)
    assert sees(now_is, new, run_id) == (404, 404, False)
    assert was("POST", f"/v1/jobs/{run_id}/rerun", {"from": "start"}) == (404, {"error": "Project not found"})


def test_a_team_that_is_merged_into_another_leaves_its_live_runs_there(was, now_is, old, new, move, db, cloud, owner):
    run_id = trigger(was, old, old.project_id)
    move()
    owner.run_script(f"UPDATE teams SET deleted_at = now() WHERE id = '{old.id}'")
    assert now_is("GET", f"/v1/jobs/{run_id}")[0] == 200
    assert trigger(now_is, new, old.project_id, status=409)["existing_run_id"] == run_id
    sweep(db=db, settings=cloud)
    assert now_is("POST", f"/v1/jobs/{run_id}/cancel")[0] == 200


def test_a_key_whose_creator_left_keeps_working_and_mails_nobody(cloud, old, db, owner, job):
    by_key = Api(f"Bearer {old.agent_key}")
    owner.run_script(f"DELETE FROM team_members WHERE user_id = '{old.users['admin']}'")
    run_id = trigger(by_key, old, old.project_id, notify=True)
    assert by_key("POST", f"/v1/jobs/{run_id}/cancel")[0] == 200
    assert owner.run_script("SELECT * FROM job_outbox") == []


def test_a_mail_goes_to_the_address_that_its_person_has_at_the_ending(was, old, owner):
    run_id = trigger(was, old, old.project_id, notify=True)
    owner.run_script(f"UPDATE users SET email = 'ada@new.example' WHERE id = '{old.users['admin']}'")
    was("POST", f"/v1/jobs/{run_id}/cancel")
    assert owner.run_script("SELECT recipient FROM job_outbox") == [["ada@new.example"]]
