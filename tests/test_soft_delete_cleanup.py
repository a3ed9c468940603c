"""The job soft_delete_cleanup through the engine, as the role of the system jobs, against real rows."""

import uuid

import pytest

from tests.world import make_team, run_row, work


def system_run(owner, job_type="soft_delete_cleanup"):
    run_id = str(uuid.uuid4())
    owner.run_script(
        "INSERT INTO job_runs (id, job_type, triggered_by, resend_at)"
        f" VALUES ('{run_id}', '{job_type}', 'system', clock_timestamp())"
    )
    return run_id


def test_smoke(cloud, db, owner):
    team = make_team(owner)
    owner.run_script(f"""
      INSERT INTO apps (project_id, name) SELECT '{team.project_id}', 'A' || n FROM generate_series(1,3) n;
      INSERT INTO events (app_id, message, timestamp) SELECT id, 'x', clock_timestamp() FROM apps, generate_series(1, 1000);
      INSERT INTO app_users (project_id, user_id) SELECT '{team.project_id}', 'u' || n FROM generate_series(1,700) n;
      INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, resend_at) SELECT gen_random_uuid(), 'revenuecat_sync', team_id, id, 'x', now() FROM projects;
      UPDATE teams SET deleted_at = now() - interval '8 days';
      """)
    run_id = system_run(owner)
    work(run_id, 0, db=db, settings=cloud)
    row = run_row(owner, run_id)
    print(row)
    print(owner.run_script("SELECT * FROM event_deletions"))
    assert row["status"] == "completed"
