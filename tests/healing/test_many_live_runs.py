"""The sweep reads each live run a fixed number of times, however many others it has to heal, and no history."""

import pytest

from nightshift.healing import healers
from nightshift.testing.rows import make_team, sweep
from tests.support.plans import explained

LIVE, ENDED = 2_000, 20_000
FEW_BUFFERS = 60
HORIZONS = {"schedules_until": "2026-01-01Z", "retention_s": 90 * 86_400}


@pytest.fixture
def live(owner):
    """Insert live runs, of which each second one's lease is over, behind the runs that the team had before."""
    make_team(owner, projects=LIVE)
    owner.run_script(
        "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, completed_at)"
        " SELECT gen_random_uuid(), 'revenuecat_sync', team_id, id, 'x', 'completed', clock_timestamp()"
        f" FROM projects, generate_series(1, {ENDED // LIVE});"
        "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, started_at, lease_expires_at,"
        " request_id, slice_started_at)"
        " SELECT gen_random_uuid(), 'revenuecat_sync', team_id, id, 'x', 'running', clock_timestamp(),"
        " clock_timestamp() + interval '1 h' * (row_number() OVER () % 2 * 2 - 1), 'r', clock_timestamp() FROM projects"
    )
    # The log lines of those that have ended are counted.
    owner.run_script("UPDATE job_sweep SET logs_until = clock_timestamp()")
    owner.run_script("VACUUM (ANALYZE)")


@pytest.mark.parametrize(
    ("query", "values", "times"),
    [
        ("due_runs", {"at_most": healers.AT_MOST}, 1),
        # The projects are read, too.
        ("misplaced_runs", {"at_most": healers.AT_MOST}, 1.5),
        ("find_work", HORIZONS, 1.5),
    ],
)
def test_a_search_looks_once_at_each_live_run(db, live, query, values, times):
    read = []
    for _ in range(2):  # the first run of a plan reads the catalogue for its operators
        db.begin()
        read.append(explained(db, query, **values)[1])
        db.rollback()
    assert read[1] <= times * LIVE + FEW_BUFFERS


def test_a_sweep_searches_once_for_all_that_is_due(cloud, db, live, monkeypatch):
    searched, query = [], db.query

    def noting(name, /, **params):
        searched.extend([name] * ("at_most" in params))
        return query(name, **params)

    monkeypatch.setattr(db, "query", noting)
    monkeypatch.setattr("nightshift.aws.queue.send_all", lambda messages: 0)
    assert sweep(db=db, settings=cloud)["recovered"] == LIVE // 2
    assert searched == ["due_runs"]
