"""The operator's statements, with a long history and many live runs."""

import pytest

from nightshift.healing.team_failures import OF_THE_SYSTEM
from nightshift.operator import run_commands
from nightshift.testing.rows import make_team
from tests.support.operator_world import answer
from tests.support.plans import explained

SEARCH = {"limit": 20, "look_through": run_commands.LOOK_THROUGH, "ended_through": run_commands.LOOK_THROUGH}
PAGE = SEARCH | {"ended_through": 20}


def ended(owner, project_id, count, status="completed", job_type="revenuecat_sync"):
    owner.run_script(
        "INSERT INTO job_runs"
        " (id, job_type, team_id, project_id, triggered_by, status, error, created_at, completed_at)"
        f" SELECT gen_random_uuid(), '{job_type}', team_id, id, 'x', '{status}',"
        f" CASE '{status}' WHEN 'failed' THEN 'e' END, at, at"
        f" FROM generate_series(1, {count}) n, projects,"
        "      LATERAL (SELECT clock_timestamp() - interval '2 min' * n AS at) AS time"
        f" WHERE id = '{project_id}'"
    )


@pytest.fixture(scope="module")
def crowd():
    """The numbers of ended runs, of failed ones among them, and of live runs."""
    return 30_000, 300, 3_000


@pytest.fixture
def team(owner, crowd):
    """A team with a history of 42 days, whose projects have live runs; many mails and slots of the same time."""
    completed, failed, live = crowd
    team = make_team(owner, projects=live)
    ended(owner, team.project_id, completed)
    ended(owner, team.project_id, failed, "failed")
    owner.run_script(
        "INSERT INTO job_runs (id, job_type, triggered_by, status, error, created_at, completed_at)"
        " SELECT gen_random_uuid(), 'db_pruning', 'schedule', CASE n % 50 WHEN 0 THEN 'failed' ELSE 'completed' END,"
        "        CASE n % 50 WHEN 0 THEN 'e' END, at, at"
        " FROM generate_series(1, 3000) n, LATERAL (SELECT clock_timestamp() - interval '1 h' * n AS at) AS time;"
        "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, resend_at)"
        " SELECT gen_random_uuid(), 'revenuecat_sync', team_id, id, 'x', clock_timestamp() + interval '1 h'"
        " FROM projects;"
        "INSERT INTO job_outbox (run_id, kind, status, send_at, ended_at)"
        " SELECT id, 'event', 'sent', NULL, completed_at FROM job_runs WHERE completed_at IS NOT NULL;"
        "INSERT INTO job_schedule_slots (job_type, slot, outcome, decided_at)"
        " SELECT 'db_pruning', at, 'missed', at"
        " FROM generate_series(1, 3000) n, LATERAL (SELECT clock_timestamp() - interval '1 h' * n AS at) AS time;"
        "INSERT INTO job_successes (job_type, expected_within, since, overdue_at)"
        " VALUES ('db_pruning', '1 h', clock_timestamp() - interval '90 days', clock_timestamp())"
    )
    owner.run_script("VACUUM (ANALYZE)")
    return team


def test_each_statement_reads_the_runs_that_it_is_about_and_no_history(db, team, crowd):
    _, failed, live = crowd
    # A page is 20 rows with the names of their teams and projects.
    few, page = 40, 20 * 8
    searched = run_commands.LOOK_THROUGH + live
    asked = {
        "list_all_runs": (page + live, PAGE),
        "list_all_runs failed": (page, PAGE | {"status": "failed"}),
        "list_all_runs of a type": (searched, SEARCH | {"job_type": "rare_type"}),
        "list_all_runs cancelled": (searched, SEARCH | {"status": "cancelled"}),
        "list_all_runs failed of a type": (page + failed, SEARCH | {"status": "failed", "job_type": "rare_type"}),
        "list_all_runs running": (page + live, SEARCH | {"status": "running"}),
        "runs_beyond": (page, SEARCH),
        "runs_beyond failed": (page, SEARCH | {"status": "failed"}),
        "list_system_runs": (page, {"limit": 20}),
        "list_system_runs of a type": (page, {"limit": 20, "job_type": "db_pruning"}),
        "list_system_runs of no type": (few, {"limit": 20, "job_type": "absent"}),
        "list_system_runs failed": (page, {"limit": 20, "status": "failed"}),
        "failed_system_runs": (few, {}),
        "missed_slots": (few, {}),
        "outbox_trouble": (few, {"grace_s": 150, "kind": "event"}),
        "team_failures": (
            # The failed runs of an hour, the next success of each, and a count of the ended ones.
            few * 5, {"within_s": 3600, "lately_s": 3600, "of_the_system": OF_THE_SYSTEM.replace("'", "''")},
        ),
        "unfinished_detach": (few * 2, {"run_id": team.id}),
        "claim_overdue_successes": (few, {"keys": "{db_pruning}"}),
    }  # fmt: skip
    read = {}
    for statement, (_, values) in asked.items():
        for _ in range(2):  # the first run of a plan reads the catalogue for its operators
            db.begin()
            _, read[statement] = explained(db, statement.split()[0], **values)
            db.rollback()
    assert {name: buffers for name, buffers in read.items() if buffers > asked[name][0]} == {}


class TestAllTeamsRuns:
    @pytest.fixture
    def look(self, db, cloud, owner, monkeypatch):
        """Return how many runs are listed, and how many were looked through if that were not all."""
        monkeypatch.setattr(run_commands, "LOOK_THROUGH", 2)
        team = make_team(owner)
        ended(owner, team.project_id, 3)
        ended(owner, team.project_id, 2, "failed")

        def look(**filters):
            found = answer({"command": "runs", "every_team": True} | filters, db=db, settings=cloud)
            return len(found["job_runs"]), found.get("looked_through")

        return look

    def test_it_says_how_far_it_looked_where_it_did_not_find_enough(self, look):
        assert look() == (5, None)
        assert look(status="completed") == look(job_type="revenuecat_sync", status="completed") == (1, 2)
        assert look(status="completed", limit=1) == (1, None)

    def test_failed_runs_are_looked_for_among_the_failed_ones(self, look):
        assert look(status="failed") == look(status="failed", job_type="revenuecat_sync") == (2, None)

    def test_live_runs_are_looked_for_among_the_live_ones(self, look, owner):
        assert look(status="pending") == look(status="running") == (0, None)
        team = make_team(owner, slug="others", projects=3)
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, resend_at)"
            f" SELECT gen_random_uuid(), 'revenuecat_sync', team_id, id, 'x', clock_timestamp() FROM projects"
            f" WHERE team_id = '{team.id}'"
        )
        assert look(status="pending") == (2, 2)
        # The newest live run may not be among those that were looked through.
        assert look(status="pending", limit=1) == look(limit=1) == (1, 2)
        assert look(status="failed") == look(status="failed", limit=2) == (2, None)
        assert look(status="completed", limit=1) == (1, None)

    def test_system_runs_are_read_from_their_own_index(self, look, owner):
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, triggered_by, status, completed_at)"
            " SELECT gen_random_uuid(), 'db_pruning', 'x', 'completed', clock_timestamp() - interval '9 days'"
            " FROM generate_series(1, 4)"
        )
        assert look(job_type="db_pruning") == (4, None)
