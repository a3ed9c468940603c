"""The executor's statements read only the rows that they need, however many others the tables have."""

import uuid

import pytest

from nightshift.database.migrations import create_first_partitions
from nightshift.testing.rows import make_team
from nightshift_jobs.db_pruning.test_db_pruning import HISTORY, fill
from tests.support.plans import explained

CROWD = 4_000
# The pages of the indexes that a statement reads or writes, and of a row or two. A crowded table has more pages, and so
# does a whole scan of one of its indexes.
FEW_BUFFERS = 50

R = {"resend_delay_s": 120, "resend_ceiling_s": 3600}
OLD = {"retention_s": 90 * 86_400}
FINDS = {"at_most": 100_000}
LINES = {"lines": "[]", "logged": 1, "kept_lines": 1_000}


@pytest.fixture
def ids(owner):
    """Insert a crowd of ended runs with slices and mails, alerts and slots. Return the ids of the few active rows."""
    team = make_team(owner)
    of = f"'revenuecat_sync', '{team.id}', '{team.project_id}', 'x'"
    ids = {name: str(uuid.uuid4()) for name in ("unclaimed", "leased", "old", "mail")}
    owner.run_script(
        f"""
        INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, error, started_at, completed_at)
        SELECT gen_random_uuid(), {of}, 'failed', 'e', at, at FROM generate_series(1, {CROWD}) n,
               LATERAL (SELECT clock_timestamp() - interval '1 h' * (n % 900) AS at) AS time;
        INSERT INTO job_slices (run_id, slice, request_id, started_at, outcome)
        SELECT id, 0, 'r', started_at, 'continued' FROM job_runs;
        INSERT INTO job_run_logs (run_id, last_line, slice, bytes, lines) SELECT id, 1, 0, 1, '[]' FROM job_runs;
        INSERT INTO job_outbox (run_id, recipient, status, send_at, ended_at)
        SELECT id, 'a@b.example', 'sent', NULL, completed_at FROM job_runs;
        INSERT INTO job_outbox (content, status, send_at, ended_at)
        SELECT '{{}}', 'sent', NULL, clock_timestamp() FROM generate_series(1, {CROWD});
        INSERT INTO job_schedule_slots (job_type, slot, outcome)
        SELECT 'db_pruning', clock_timestamp() - interval '1 min' * n, 'missed' FROM generate_series(1, {CROWD}) n;
        INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, resend_at)
        VALUES ('{ids["unclaimed"]}', {of}, clock_timestamp());
        INSERT INTO job_runs (id, job_type, triggered_by, status, started_at, lease_expires_at, request_id,
                              slice_started_at)
        VALUES ('{ids["leased"]}', 'db_pruning', 'x', 'running', clock_timestamp(), clock_timestamp(), 'r',
                clock_timestamp());
        INSERT INTO job_outbox (id, content, send_at) VALUES ('{ids["mail"]}', '{{}}', clock_timestamp());
        INSERT INTO job_runs (id, job_type, triggered_by, status, completed_at)
        VALUES ('{ids["old"]}', 'db_pruning', 'x', 'completed', clock_timestamp() - interval '100 days');
        ANALYZE
        """
    )
    return ids


def test_the_engine_reads_what_it_is_about_and_no_crowd(db, ids):
    slice_0 = {"run_id": ids["leased"], "slice": 0}
    key = {name: {"keys": f"{{{id_}}}"} for name, id_ in ids.items()}
    new = {"id": str(uuid.uuid4()), "params": "{}", "resend_delay_s": 120}
    asked = {
        "claim_slice": {
            "run_id": ids["unclaimed"], "slice": 0, "capped": "{}", "lease_s": 60, "request_id": "r",
            "max_durations": "{}", "max_duration_s": 86_400,
        },
        "save_progress": slice_0 | {"cursor": "{}", "cursor_version": 1} | LINES,
        "end_slice": slice_0 | {
            "has_checkpoint": "false", "wait_s": 0, "outcome": "continued", "max_delay_s": 900, "resend_delay_s": 120,
        } | LINES,
        "end_run": slice_0 | {"status": "completed", "result": "{}"} | LINES,
        "cancel_run": {"run_id": ids["leased"], "requested_by": "x"},
        "is_cancelled": slice_0,
        "note_slice": slice_0 | {"reason": "x"},
        "stay_within_lease": slice_0 | {"kept_back_s": 3, "longest_s": 20},
        "find_work": OLD | {"schedules_until": "2026-01-01Z"},
        "due_runs": FINDS,
        "misplaced_runs": FINDS,
        "expire_leases": key["leased"] | {"lost_slices_limit": 5, "lost_slices_ceiling": 50, "resend_delay_s": 120},
        "resend_due": key["unclaimed"] | R,
        "end_overlong": key["unclaimed"],
        "rehome_runs": key["unclaimed"],
        "stop_deleted": key["unclaimed"],
        "untold_runs": FINDS,
        "tell_of_endings": key["old"],
        "unsent_notices": FINDS,
        "claim_unsent": key["mail"] | R,
        "claim_outbox": {
            "outbox_ids": f"{{{ids['mail']}}}", "kind": "mail", "claim_s": 30, "retry_delay_s": 60,
            "retry_ceiling_s": 3600,
        },
        "unsent_of_runs": {"run_ids": f"{{{ids['old']}}}"},
        "old_runs": FINDS | OLD,
        "prune_runs": key["old"],
        "old_alerts": FINDS | OLD,
        "prune_alerts": key["mail"],
        "old_slots": FINDS | OLD,
        "prune_slots": {"keys": "{db_pruning 1}"},
        "old_audit_entries": FINDS,
        "prune_audit_entries": {"keys": "{00000000-0000-0000-0000-000000000000}"},
        "expired_sign_ins": FINDS,
        "prune_sign_ins": {"keys": "{00000000-0000-0000-0000-000000000000}"},
        "unused_sign_in_shares": FINDS,
        "prune_sign_in_shares": {"keys": "{all}"},
        "ended_sessions": FINDS,
        "prune_sessions": {"keys": "{00000000-0000-0000-0000-000000000000}"},
        "decided_slots": {"job_type": "db_pruning", "since": "2099-01-01Z"},
        "insert_system_run": new | {"job_type": "partition_creation", "triggered_by": "x"},
        "insert_scheduled_run": new | {"job_type": "partition_creation", "slot": "2026-01-01Z", "outcome": "started"},
    }  # fmt: skip
    read = {}
    for query, values in asked.items():
        for _ in range(2):  # the first run of a plan reads the catalogue for its operators
            db.begin()
            _, read[query] = explained(db, query, **values)
            db.rollback()
    assert {query: buffers for query, buffers in read.items() if buffers > FEW_BUFFERS} == {}


def test_the_search_for_old_partitions_reads_no_events(owner, connect):
    create_first_partitions(owner, today=HISTORY[0], months_ahead=2)
    maintenance = connect(user="nightshift_maintenance")

    def reads(rows):
        fill(owner, "events", HISTORY[0], rows=rows)
        owner.run_script("ANALYZE events")
        return [explained(maintenance, "prunable_partitions") for _ in range(2)][1]

    (few, with_few), (many, with_many) = reads(10), reads(CROWD)
    assert few == many == 9
    assert abs(with_many - with_few) < 10
