"""A list of one project's runs reads its page, also among many teams."""

from nightshift.testing.rows import make_team
from tests.support.plans import explained

TEAMS, RUNS = 40, 1_500


def test_the_planner_knows_that_a_projects_runs_are_its_teams(db, owner):
    teams = [make_team(owner, slug=f"team-{number}") for number in range(TEAMS)]
    owner.run_script(
        "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, created_at, completed_at)"
        " SELECT gen_random_uuid(), 'revenuecat_sync', team_id, projects.id, 'x', 'completed', at, at"
        f" FROM generate_series(1, {RUNS}) n, projects,"
        "      LATERAL (SELECT clock_timestamp() - interval '1 min' * n AS at) AS time ORDER BY n"
    )
    owner.run_script("ANALYZE job_runs")
    page = {"team_id": teams[0].id, "project_id": teams[0].project_id, "limit": 51}
    rows, buffers = [explained(db, "list_runs", **page) for _ in range(2)][1]
    assert rows == 51
    assert buffers <= 24 + 4 * rows
