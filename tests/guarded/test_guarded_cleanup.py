"""Which runs the cleanup of a project or team deletes, and the reasons for runs that it cannot delete."""

import pytest

from nightshift.base.errors import DatabaseBusy
from nightshift.testing.rows import make_team
from tests.guarded.world_at_noon import ENDED, LEASED, PENDING, at, notice, rows, run, slice_over

SPAN = {"first": at(-100), "last": at(-1)}


@pytest.fixture
def here(owner):
    return make_team(owner, slug="here")


@pytest.fixture
def there(owner):
    return make_team(owner, slug="there")


def ended(owner, team_id, project_id, seconds, **columns):
    run_id = run(owner, {**ENDED, **columns}, team_id=team_id, project_id=project_id, created_at=at(seconds))
    slice_over(owner, run_id)
    notice(owner, run_id=run_id)
    return run_id


def clean(owner, team=None, project=None, batch=9):
    return owner.query("cleanup_runs", team_id=team, project_id=project, batch=batch, **SPAN)[0]


def remove(owner, resource, resource_id):
    return owner.query("cleanup_resource", resource=resource, id=resource_id)[0]["in_the_way"]


@pytest.mark.parametrize("by", ["team", "project"])
def test_its_ended_runs_go_with_all_that_is_of_them(owner, here, there, by):
    oldest = ended(owner, here.id, here.project_id, -100)
    newest = ended(owner, here.id, here.project_id, -1, status="failed", error="e")
    teams_alone = ended(owner, here.id, there.project_id, -50, status="completed")
    projects_alone = ended(owner, there.id, here.project_id, -49, status="completed")
    kept = {
        ended(owner, there.id, there.project_id, -50),
        ended(owner, here.id, here.project_id, -101),
        ended(owner, here.id, here.project_id, 0),
        run(owner, PENDING, team_id=here.id, project_id=here.project_id, created_at=at(-50)),
        run(owner, LEASED, team_id=here.id, project_id=here.project_id, created_at=at(-50)),
    }
    mine = {oldest, newest, teams_alone if by == "team" else projects_alone}
    every = rows(owner, "job_runs").keys()
    scope = {"team": here.id} if by == "team" else {"project": here.project_id}

    first = clean(owner, **scope, batch=1)
    assert (first["deleted"], first["in_the_way"]) == (1, None)
    assert rows(owner, "job_runs").keys() == every - {oldest}
    second = clean(owner, **scope, batch=2)
    assert (second["deleted"], second["reached"][:22]) == (2, at(-1)[:19].replace("T", " ") + "+00")
    left = every - mine
    assert rows(owner, "job_runs").keys() == left
    assert rows(owner, "job_slices", "run_id").keys() | {None} >= left - kept
    assert rows(owner, "job_slices", "run_id").keys() == rows(owner, "job_outbox", "run_id").keys()
    assert not mine & rows(owner, "job_slices", "run_id").keys()
    assert kept <= left


@pytest.mark.parametrize("state", [PENDING, LEASED, ENDED], ids=["pending", "leased", "ended"])
@pytest.mark.parametrize("resource", ["teams", "projects"])
def test_a_resource_that_still_has_runs_stays(owner, resource, state):
    """Runs have no foreign key, so this check alone keeps them from outliving their project and team."""
    here, there = make_team(owner, slug="here"), make_team(owner, slug="there")
    own = {"teams": here.id, "projects": here.project_id}
    of_another = {"teams": there.id, "projects": there.project_id}
    column = {"teams": "team_id", "projects": "project_id"}
    scope = {column[name]: (own if name == resource else of_another)[name] for name in own}
    run(owner, state, **scope)
    before = rows(owner, resource)
    assert remove(owner, resource, own[resource]) == "job_runs refers to it"
    assert rows(owner, resource) == before


@pytest.mark.parametrize("resource", ["teams", "projects"])
def test_a_resource_goes_beside_the_runs_of_others(owner, here, there, resource):
    owner.run_script("DELETE FROM team_members; DELETE FROM api_keys; DELETE FROM apps")
    if resource == "teams":
        owner.run_script(f"DELETE FROM projects WHERE team_id = '{here.id}'")
    for state in (PENDING, ENDED):
        # A run of the project is in the way of the project alone, and a run of the team in the way of the team alone.
        beside = {"team_id": there.id} if resource == "teams" else {"team_id": here.id}
        beside["project_id"] = here.project_id if resource == "teams" else there.project_id
        run(owner, state, **beside)
    run(owner, PENDING)
    assert remove(owner, resource, {"teams": here.id, "projects": here.project_id}[resource]) is None
    assert rows(owner, resource).keys() == {{"teams": there.id, "projects": there.project_id}[resource]}


REFERRING = "CREATE TABLE referring (run_id uuid REFERENCES job_runs); INSERT INTO referring VALUES ('{}')"


def test_a_row_of_the_platform_in_the_way_is_named_and_nothing_goes(owner, here):
    run_id = ended(owner, here.id, here.project_id, -50)
    owner.begin()
    owner.run_script(REFERRING.format(run_id))
    answer = clean(owner, team=here.id)
    assert answer["deleted"] == 0
    assert "referring" in answer["in_the_way"]
    assert rows(owner, "job_slices", "run_id").keys() == {run_id}
    owner.rollback()


def test_another_trouble_is_raised(owner, here):
    ended(owner, here.id, here.project_id, -50)
    owner.begin()
    owner.run_script(
        "CREATE FUNCTION pg_temp.fail() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN RAISE EXCEPTION 'a deadlock' USING ERRCODE = '40P01'; END $$;"
        "CREATE TRIGGER fail BEFORE DELETE ON job_runs FOR EACH ROW EXECUTE FUNCTION pg_temp.fail()"
    )
    with pytest.raises(DatabaseBusy, match="a deadlock"):
        clean(owner, team=here.id)
