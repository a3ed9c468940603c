"""Many schedules that say 03:00, two sweeps at once, and one that is killed: each starts once, and not all together."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from nightshift.testing.rows import make_team, sweep

THREE = datetime(2026, 11, 26, 3, tzinfo=UTC)
MANY, A_MINUTE, BATCH = 600, 100, 50


def make_many(owner):
    team = make_team(owner)
    owner.run_script(
        "INSERT INTO projects (team_id, name, slug)"
        f" SELECT '{team.id}', n, n FROM generate_series(1, {MANY - 1}) n;"
        "INSERT INTO project_integrations (project_id, provider, secret_encrypted)"
        " SELECT id, 'revenuecat', '' FROM projects;"
        "INSERT INTO job_team_schedules (project_id, job_type, name, cron, zone, params, created_by, next_slot)"
        f" SELECT id, 'revenuecat_sync', '', '0 3 * * *', 'UTC', '{{}}', 'manual:user:{team.users['admin']}', '{THREE}'"
        " FROM projects; ANALYZE"
    )


def test_each_starts_once_at_the_pace_of_the_setting(cloud, db, owner):
    make_many(owner)
    settings = replace(cloud, scheduled_starts_per_minute=A_MINUTE, sweep_batch=BATCH)
    one, two, killed = db.sibling(), db.sibling(), db.sibling()
    statements = []

    def sweeping(session, now):
        before = session.statements
        sweep(db=session, settings=settings, now=now)
        if session is not killed:
            statements.append(session.statements - before)

    [[pid]] = killed.run_script("SELECT pg_backend_pid()")
    real = killed.query

    def query(name, **params):
        rows = real(name, **params)
        if name == "start_due_schedules":
            killed.query = real
            owner.run_script(f"SELECT pg_terminate_backend({pid}, 10000)")
        return rows

    killed.query = query
    minutes = 0
    while owner.run_script(f"SELECT count(*) FROM job_team_schedules WHERE next_slot = '{THREE}'") != [[0]]:
        now = THREE + timedelta(minutes=minutes)
        sessions = [killed, one] if minutes == 0 else [one, two]
        threads = [threading.Thread(target=sweeping, args=(session, now)) for session in sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        minutes += 1
    for session in (one, two, killed):
        session.close()

    assert MANY / A_MINUTE / 2 <= minutes <= MANY / A_MINUTE + 1
    assert owner.run_script("SELECT count(*), count(DISTINCT project_id) FROM job_runs") == [[MANY, MANY]]
    assert owner.run_script("SELECT outcome, count(*) FROM job_team_slots GROUP BY 1") == [["started", MANY]]
    # The searches, and a transaction of two statements for each batch.
    assert max(statements) <= 2 + 4 * A_MINUTE / BATCH
    # Each session spreads its runs over the minute: few of them start in its first second.
    delay_s = "extract(epoch FROM due_at - created_at)"
    [[longest, at_once]] = owner.run_script(
        f"SELECT CAST(max({delay_s}) AS float8), count(*) FILTER (WHERE {delay_s} < 1) FROM job_runs"
    )
    assert 20 < longest < 51
    assert at_once <= 2 * minutes * (A_MINUTE / 50 + 1)
