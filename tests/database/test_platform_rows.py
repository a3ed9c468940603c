"""Platform rows with times that Python cannot represent: ``infinity``, the year 294276, years BC."""

import pytest

from nightshift.operator import team_commands
from nightshift.tenants.agent_keys import live_keys, make_key
from nightshift.testing.rows import run_row, work
from tests.api.test_api import Api, trigger
from tests.support.fixtures import JWT_SECRET
from tests.support.world import AUTHOR, make_furnished_team, system_run, token

# As the API shows them: the nearest times of ISO 8601, in the same order.
EXTREMES = {
    "infinity": "9999-12-31T23:59:59.999Z",
    "294276-12-31 23:59:59.999Z": "9999-12-31T23:59:59.999Z",
    "-infinity": "0001-01-01T00:00:00.000Z",
    "4713-01-01 00:00:00Z BC": "0001-01-01T00:00:00.000Z",
}

MOMENTS = """
    SELECT table_name::text, column_name::text FROM information_schema.columns
    WHERE table_schema = 'public' AND data_type LIKE 'timestamp%' AND column_name <> 'deleted_at' AND table_name IN
        ('users', 'teams', 'team_members', 'projects', 'apps', 'api_keys', 'project_integrations', 'app_users',
         'metric_definitions', 'funnel_definitions')
"""


@pytest.fixture
def team(cloud, owner):
    return make_furnished_team(owner)


@pytest.mark.parametrize(("extreme", "shown"), EXTREMES.items(), ids=EXTREMES)
def test_they_break_nothing_that_reads_them(cloud, db, owner, team, extreme, shown):
    for table, column in owner.run_script(MOMENTS):
        if (table, column) != ("api_keys", "expires_at"):
            owner.run_script(f"UPDATE {table} SET {column} = '{extreme}'")
    key, user = Api(f"Bearer {team.agent_key}"), Api(f"Bearer {token(team.users['owner'], JWT_SECRET)}")

    assert [each["created_at"] for each in key("GET", "/v1/projects")[1]["projects"]] == [shown]
    project = key("GET", f"/v1/projects/{team.project_id}")[1]
    assert (project["created_at"], project["apps"][0]["created_at"]) == (shown, shown)
    for api in (key, user):
        assert api("GET", "/v1/auth/whoami")[0] == 200
        assert api("GET", f"/v1/teams/{team.id}/members")[0] == 200
        assert api("GET", f"/v1/teams/{team.id}/jobs")[0] == 200
    status, answer = trigger(key, team, notify=True)
    assert status == 201
    work(answer["job_run"]["id"], 0, db=db, settings=cloud)
    assert "The stored key" in run_row(owner, answer["job_run"]["id"])["error"]
    assert live_keys(owner, team_slug="owls")
    assert team_commands.list_keys(team="owls", db=owner)["keys"][0]["created_at"] == shown


@pytest.mark.parametrize(("extreme", "is_over"), [*zip(EXTREMES, (False, False, True, True), strict=True)])
def test_a_key_ends_when_its_moment_has_come(cloud, owner, team, extreme, is_over):
    owner.run_script(f"UPDATE api_keys SET expires_at = '{extreme}', created_at = '-infinity'")
    assert Api(f"Bearer {team.agent_key}")("GET", "/v1/auth/whoami")[0] == (401 if is_over else 200)
    assert make_key(owner, author=AUTHOR, team_slug="owls", ends=team.agent_key)
    [[is_endless]] = owner.run_script("SELECT expires_at IS NULL FROM api_keys WHERE deleted_at IS NULL")
    assert is_endless != is_over


@pytest.mark.parametrize(("extreme", "is_due"), [*zip(EXTREMES, (False, False, True, True), strict=True)])
def test_the_cleanup_takes_what_was_deleted_long_ago_and_no_more(cloud, db, owner, team, extreme, is_due):
    owner.run_script(f"UPDATE teams SET deleted_at = '{extreme}'")
    run_id = system_run(owner, "soft_delete_cleanup")
    work(run_id, 0, db=db, settings=cloud)
    assert run_row(owner, run_id)["status"] == "completed"
    assert owner.run_script("SELECT count(*) FROM teams") == [[0 if is_due else 1]]
