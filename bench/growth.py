"""Claim: no statement of the API, the sweep, the operator or the retention costs more because the history is longer.

    make bench BENCH=growth
    .venv/bin/python -m bench.growth 1_000_000

Of two databases, one has the number of runs in the argument (200,000), the other one a tenth of them. Their newest
runs and their live runs are alike, so the longer history goes further back. One run in nine failed, a twentieth had
several slices, a fifth owed a mail or an event, and one in twenty is a system run. Each statement runs with values like
those of its caller, in a transaction that is rolled back. The output shows the buffers that it touches in both, and the
ratio for each row that it returns. Statements that grow by half or more are named, and fail this benchmark.
"""

import sys
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.parts import create_database, free_port, let_worker_play_all, settings_of
from local.postgres import Postgres
from nightshift.database.migrations import migrate
from nightshift.database.queries import Database
from nightshift.database.session_pins import pin
from nightshift.healing import team_failures
from nightshift.jobs.rights import declare_rights
from nightshift.overview.counting import count_endings
from tests.support.plans import explained

RUNS = 200_000
TEAMS, PROJECTS_OF_A_TEAM = 20, 100
LIVE = 400
GROWS = 1.5
# Up to this many buffers are few: of an index that becomes one level deeper, and of each row of a page of a list.
FEW, FEW_OF_A_ROW = 12, 6
# Up to this many for each live run. Where fewer than one run in 30,000 is live, the planner's sample contains none of
# them. It then takes every index of the live runs for equal, and joins them with projects and teams row by row.
FEW_OF_A_LIVE_RUN = {
    "find_work": 6.5,
    "misplaced_runs": 6.5,
    **dict.fromkeys(("due_runs", "insert_run", "oldest_live_run", "oldest_waiting_run", "stuck_runs"), 1.5),
    "list_runs of project": 1.5,
    "list_runs of project by type": 1.5,
    "list_runs of project failed by type": 1.5,
    "list_runs deep of project": 1.5,
}

# Subjects whose tables do not grow with runs.
ELSEWHERE = {"database", "partitions", "tenants"}
# Statements that this measures elsewhere or that touch a few rows of a small table, by their names.
SMALL = {
    *("claim_set_aside", "forget_set_aside", "list_set_aside", "set_aside", "sweep_came"),
    *("overdue_schedules", "overdue_successes", "lock_overdue_schedule", "move_schedule", "get_schedule"),
    *("store_expectation", "store_schedule", "delete_other_schedules", "list_successes", "want_events"),
    *("delete_pauses", "get_pause", "insert_pause", "list_pauses", "names_in_notice"),
    *("database_connections", "database_size", "describe_database", "list_migrations", "list_views", "missing_rights"),
    *("oldest_snapshot", "next_slots", "prune_days"),
}

WORLD = f"""
    INSERT INTO teams (id, name, slug)
    SELECT gen_random_uuid(), 'Team ' || n, 'team-' || n FROM generate_series(1, {TEAMS}) n;
    INSERT INTO projects (id, team_id, name, slug)
    SELECT gen_random_uuid(), team.id, 'P' || n, 'p-' || n FROM teams team, generate_series(1, {PROJECTS_OF_A_TEAM}) n;
    CREATE TABLE bench_projects AS SELECT row_number() OVER () - 1 AS number, id, team_id FROM projects;
    CREATE UNIQUE INDEX ON bench_projects (number);
    INSERT INTO job_schedules
    SELECT name, '0 * * * *', '2026-01-01Z', clock_timestamp()
    FROM unnest(ARRAY['db_pruning', 'partition_creation']) name;
    INSERT INTO job_successes (job_type, expected_within, since, overdue_at)
    SELECT job_type, '1 day', clock_timestamp() - interval '80 days', clock_timestamp() FROM job_schedules
"""

# Run 1 is the newest of {runs}; the oldest run of the longer history ended 80 days ago.
HISTORY = """
    CREATE TEMPORARY TABLE past AS
    SELECT gen_random_uuid() AS id, n,
           CASE WHEN n % 20 = 0 THEN (ARRAY['db_pruning', 'partition_creation'])[1 + n / 20 % 2]
                WHEN n % 97 = 0 THEN 'rare_type' ELSE 'revenuecat_sync' END AS job_type,
           CASE WHEN n % 20 > 0 THEN project.id END AS project_id,
           CASE WHEN n % 20 > 0 THEN project.team_id END AS team_id,
           CASE WHEN n % 9 = 0 THEN 'failed' WHEN n % 11 = 0 THEN 'cancelled' ELSE 'completed' END AS status,
           clock_timestamp() - interval '80 days' * (n / {longer}.0) AS at
    FROM generate_series(1, {runs}) n JOIN bench_projects project ON project.number = n * 7919::bigint % {projects};
    INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, error, params, created_at,
                          started_at, completed_at, slice, request_id, slice_started_at, idempotency_key, request_hash,
                          cursor)
    SELECT id, job_type, team_id, project_id, 'schedule', status,
           CASE WHEN status = 'failed' THEN 'error ' || n % 7 END,
           '{{"since": "2026-01-01"}}', at - interval '1 min', at - interval '1 min', at, n % 20 / 19 * 2, 'r', at,
           CASE WHEN n % 10 = 1 THEN decode(md5('key' || n), 'hex') END, CASE WHEN n % 10 = 1 THEN '\\x00'::bytea END,
           CASE WHEN n % 20 = 0 THEN '{{}}'::jsonb END
    FROM past ORDER BY at;
    INSERT INTO job_slices (run_id, slice, request_id, started_at, ended_at, outcome)
    SELECT id, slice, 'r', at, at, 'continued' FROM past, generate_series(0, 1) slice WHERE n % 20 = 19 ORDER BY at;
    INSERT INTO job_outbox (run_id, kind, recipient, status, send_at, created_at, ended_at, error)
    SELECT id, CASE n % 10 WHEN 3 THEN 'mail' ELSE 'event' END, CASE n % 10 WHEN 3 THEN 'a@b.example' END,
           CASE WHEN n % 5000 = 3 THEN 'failed' ELSE 'sent' END, NULL, at, at, CASE WHEN n % 5000 = 3 THEN 'e' END
    FROM past WHERE n % 10 IN (3, 7) ORDER BY at;
    INSERT INTO job_outbox (content, recipient, status, send_at, created_at, ended_at)
    SELECT '{{}}', 'a@b.example', 'sent', NULL, at, at FROM past WHERE n % 200 = 0 ORDER BY at;
    INSERT INTO job_schedule_slots (job_type, slot, outcome, run_id, decided_at)
    SELECT job_type, at, 'started', id, at FROM past WHERE n % 20 = 0 ORDER BY at;
    DROP TABLE past
"""
# Live runs: most wait or are held by a worker in good time; a few of each kind need the sweep.
LIVE_RUNS = f"""
    INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, created_at, started_at, ends_by,
                          lease_expires_at, resend_at, request_id, slice_started_at, slice)
    SELECT gen_random_uuid(), 'revenuecat_sync', team_id, id, 'x',
           CASE WHEN number % 2 = 0 THEN 'running' ELSE 'pending' END,
           at, CASE WHEN number % 2 = 0 THEN at END, CASE WHEN number % 2 = 0 THEN at + interval '1 day' END,
           CASE WHEN number % 2 = 0 THEN at + interval '1 min' * (number % 20) END,
           CASE WHEN number % 2 = 1 THEN at + interval '1 min' * (number % 20) END,
           CASE WHEN number % 2 = 0 THEN 'r' END, CASE WHEN number % 2 = 0 THEN at END, 0
    FROM bench_projects, LATERAL (SELECT clock_timestamp() - interval '1 min' AS at) AS time
    WHERE number % {TEAMS * PROJECTS_OF_A_TEAM // LIVE} = 0
"""


def main(runs: int = RUNS) -> None:
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(fsync="off", full_page_writes="off", max_wal_size="8GB", autovacuum="off")
        try:
            named = _compare(server, runs)
        finally:
            server.stop("immediate")
    if named:
        sys.exit(f"Their cost grows with the history: {', '.join(named)}")
    print("No statement's cost grows with the history.")


def _compare(server: Postgres, runs: int) -> list[str]:
    tenth = runs // 10
    short, long = (_measure(server, f"runs_{number}", number, longer=runs) for number in (tenth, runs))
    print(f"{'statement':42} {f'{tenth:,} runs':>16} {f'{runs:,} runs':>16}  ratio")
    named = []
    for statement, (few_rows, before) in short.items():
        rows, after = long[statement]
        # A longer page may cost more, so the ratio is that of the buffers for each row.
        ratio = after / max(before, 1) * max(few_rows, 1) / max(rows, 1)
        few = FEW + FEW_OF_A_ROW * rows + LIVE * FEW_OF_A_LIVE_RUN.get(statement, 0)
        is_named = after > few and ratio >= GROWS
        named += [statement] * is_named
        print(f"{statement:42} {before:16,} {after:16,} {ratio:6.2f}{' !' * is_named}")
    return named


def _measure(server: Postgres, name: str, runs: int, *, longer: int) -> dict[str, tuple[int, int]]:
    """Return rows and buffers of each statement, whose key is the query's name and, after a space, a variant."""
    create_database(server, name)
    owner = Database(replace(settings_of(server, name, "postgres"), database_timeout_s=3600))
    migrate(owner)
    owner.run_script("SET statement_timeout = 0")
    declare_rights(owner)
    pin(owner)
    owner.run_script(WORLD)
    owner.run_script(HISTORY.format(runs=runs, longer=longer, projects=TEAMS * PROJECTS_OF_A_TEAM))
    owner.run_script(LIVE_RUNS)
    count_endings(late_s=0, may_go_on=lambda: True, db=owner)
    # The endings of the last hour are counted by the statement that is measured, and until then read from the runs.
    owner.run_script("UPDATE job_sweep SET counted_until = counted_until - interval '1 hour'")
    owner.run_script("VACUUM (ANALYZE)")
    let_worker_play_all(owner)
    app = Database(settings_of(server, name, "nightshift_worker"), statement_timeout="0")
    read = {}
    for statement, values in _values(owner).items():
        for _ in range(2):  # the first run of a plan reads the catalogue for its operators
            app.begin()
            read[statement] = explained(app, statement.split()[0], **values)
            app.rollback()
    app.close()
    owner.close()
    return read


def _values(owner: Database) -> dict[str, dict[str, Any]]:
    """Return values for each statement, as its callers pass them."""

    def ids(where: str, table: str = "job_runs", limit: int = 1) -> str:
        rows = owner.run_script(f"SELECT id FROM {table} WHERE {where} LIMIT {limit}")
        return "{" + ",".join(str(run_id) for (run_id,) in rows) + "}"

    def id_(where: str, table: str = "job_runs") -> str:
        return ids(where, table)[1:-1]

    leased = id_("completed_at IS NULL AND lease_expires_at IS NOT NULL AND slice = 0")
    waiting = id_("status = 'pending'")
    ended = id_("completed_at IS NOT NULL AND project_id IS NOT NULL AND slice = 2")
    mail = id_("status = 'sent' AND kind = 'mail' AND run_id IS NOT NULL", "job_outbox")
    [[team, project]] = owner.run_script(f"SELECT team_id, project_id FROM job_runs WHERE id = '{ended}'")
    idle = id_("number % 5 = 1", "bench_projects")
    [[idles_team]] = owner.run_script(f"SELECT team_id FROM projects WHERE id = '{idle}'")
    now = "2031-01-01Z"
    # The shorter history has eight days.
    [[week]] = owner.run_script("SELECT CAST(clock_timestamp() - interval '6 days' AS date)")
    slice_0 = {"run_id": leased, "slice": 0}
    resend, old = {"resend_delay_s": 120, "resend_ceiling_s": 3600}, {"retention_s": 90 * 86_400}
    finds = {"at_most": 100_000}
    new = {"id": str(uuid.uuid4()), "params": "{}", "resend_delay_s": 120, "triggered_by": "x"}
    attempt = {"outbox_id": mail, "attempt": 0}
    page = {"team_id": team, "limit": 21}
    deep = {"before_created_at": "2026-01-01Z", "before_id": str(uuid.uuid4())}
    lists = {
        f"list_runs {' '.join(map(str, mix))}": page | mix_values
        for mix, mix_values in {
            (): {},
            ("by type",): {"job_type": "revenuecat_sync"},
            ("by rare type",): {"job_type": "rare_type"},
            ("by absent type",): {"job_type": "absent"},
            ("completed",): {"status": "completed"},
            ("failed",): {"status": "failed"},
            ("running",): {"status": "running"},
            ("failed by type",): {"status": "failed", "job_type": "revenuecat_sync"},
            ("of project",): {"project_id": project},
            ("of project by type",): {"project_id": project, "job_type": "rare_type"},
            ("of project failed by type",): {"project_id": project, "job_type": "rare_type", "status": "failed"},
            ("deep",): deep,
            ("deep of project",): deep | {"project_id": project},
        }.items()
    }
    operators = {
        f"{name} {filters}": {"limit": 20, "job_type": job_type, "status": status} | (
            {"look_through": 10_000, "ended_through": 20 if job_type is None and status in (None, "failed") else 10_000}
            if name == "list_all_runs" else {}
        )
        for name in ("list_all_runs", "list_system_runs")
        for filters, job_type, status in (
            ("", None, None), ("by type", "db_pruning", None), ("by absent type", "absent", None),
            ("failed", None, "failed"), ("cancelled", None, "cancelled"), ("pending", None, "pending"),
            ("failed by rare type", "rare_type", "failed"),
        )
    }  # fmt: skip
    return lists | operators | {
        # The API and the worker.
        "insert_run": new | {
            "job_type": "revenuecat_sync", "project_id": idle, "team_id": idles_team, "notify": "false",
            "runs_per_minute": 60, "idempotency_key": "\\x0001", "request_hash": "\\x00",
        },
        "insert_system_run": new | {"job_type": "soft_delete_cleanup"},
        "get_run": {"run_id": ended},
        "get_any_run": {"run_id": ended},
        "find_runs_by_prefix": {
            "first": ended.replace("-", "")[:8].ljust(32, "0"), "last": ended.replace("-", "")[:8].ljust(32, "f"),
            "team_id": team, "limit": 6,
        },
        "list_slices": {"run_id": ended, "at_most": 200},
        "list_mails": {"run_id": ended},
        "forget_idempotency_key": {"idempotency_key": "\\x0001"},
        "claim_slice": {
            "run_id": waiting, "slice": 0, "capped": "{}", "lease_s": 60, "request_id": "r", "max_durations": "{}",
            "max_duration_s": 86_400,
        },
        "save_progress": slice_0 | {"cursor": "{}", "cursor_version": 1},
        "end_slice": slice_0 | {
            "has_checkpoint": "false", "wait_s": 0, "outcome": "continued", "max_delay_s": 900, "resend_delay_s": 120,
        },
        "end_run": slice_0 | {"status": "completed", "result": "{}"},
        "cancel_run": {"run_id": leased, "requested_by": "x"},
        "is_cancelled": slice_0,
        "note_slice": slice_0 | {"reason": "x"},
        "stay_within_lease": slice_0 | {"kept_back_s": 3, "longest_s": 20},
        "unfinished_detach": {"run_id": ended},
        # The sweep.
        "find_work": old | {"schedules_until": now},
        **{name: finds for name in (
            "due_runs", "misplaced_runs", "untold_runs", "unsent_notices",
        )},
        "expire_leases": {
            "keys": "{" + leased + "}", "lost_slices_limit": 5, "lost_slices_ceiling": 50, "resend_delay_s": 120,
        },
        "resend_due": {"keys": "{" + waiting + "}"} | resend,
        "end_overlong": {"keys": "{" + waiting + "}"},
        "rehome_runs": {"keys": "{" + waiting + "}"},
        "stop_deleted": {"keys": "{" + waiting + "}"},
        "tell_of_endings": {"keys": "{" + ended + "}"},
        "claim_unsent": {"keys": "{" + mail + "}"} | resend,
        "team_failures": {
            "within_s": 86_400, "lately_s": 3600,
            "of_the_system": team_failures.OF_THE_SYSTEM.replace("'", "''"),
        },
        "claim_overdue_successes": {"keys": "{db_pruning}"},
        "decided_slots": {"job_type": "db_pruning", "since": now},
        "insert_scheduled_run": new | {"job_type": "soft_delete_cleanup", "slot": now, "outcome": "started"},
        "insert_slots": {"job_type": "soft_delete_cleanup", "slots": "{2026-01-01Z}"},
        # The overview.
        "count_endings": {"late_s": 120, "at_most": 5000},
        "summary_of_team": {
            "team_id": team, "job_types": "{revenuecat_backfill,revenuecat_sync}", "first_day": week,
            "projects": 1000, "at_most": 2000,
        },
        "recent_failures": {"team_id": team, "since": week, "at_most": 1000},
        "recent_failures of project": {
            "team_id": team, "since": week, "at_most": 1000, "project_id": project,
        },
        "all_days": {"first_day": week, "at_most": 2000},
        "failing_teams": {"first_day": week, "at_most": 10},
        "all_failures": {"since": week, "at_most": 1000},
        "old_days": finds,
        # The retention.
        **{name: finds | old for name in ("old_runs", "old_alerts", "old_slots")},
        "prune_runs": {"keys": ids("completed_at IS NOT NULL", limit=200)},
        "prune_alerts": {"keys": ids("run_id IS NULL", "job_outbox", 200)},
        "prune_slots": {"keys": "{db_pruning 1}"},
        "old_audit_entries": finds,
        "prune_audit_entries": {"keys": "{00000000-0000-0000-0000-000000000000}"},
        # The operator.
        "failed_system_runs": {},
        "missed_slots": {},
        "oldest_live_run": {},
        "oldest_waiting_run": {},
        "stuck_runs": {"grace_s": 150},
        "untold_endings": {},
        "outbox_trouble mail": {"grace_s": 150, "kind": "mail"},
        "outbox_trouble event": {"grace_s": 150, "kind": "event"},
        "schedules_with_slots": {},
        "list_schedules": {"slots": 5},
        "statuses_of_runs": {"ids": "{" + ended + "}"},
        "statuses_of_outbox": {"ids": "{" + mail + "}"},
        "request_ids_of_run": {"run_id": ended, "at_most": 20},
        "whose_run": {"run_id": ended},
        # Mails and events.
        "claim_outbox": {"outbox_id": mail, "claim_s": 30, "retry_delay_s": 60, "retry_ceiling_s": 3600},
        "end_outbox_attempt": attempt | {"status": "sent"},
        "address_alert": attempt | {"first": "a@b", "others": "{c@d}"},
        "close_digest": {"outbox_id": mail},
        "digest_mail": attempt | {"opens_at": now, "recipient": "a@b", "team_id": team},
        "postpone_digest": attempt | {"opens_at": now},
        "list_digest": {"outbox_id": mail, "at_most": 20},
        "take_mail_share": {"at_most": 60, "is_digest": "false", "team_id": team},
        "get_mail": {"id": mail},
        "unsent_of_runs": {"run_ids": "{" + ended + "}"},
        "insert_alert": {"content": "{}"},
        "insert_test_mail": {"content": "{}", "recipient": "a@b"},
    }  # fmt: skip


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
