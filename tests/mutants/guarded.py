"""The guarded subjects. Each query, table, function and module here has a table of mutants."""

from pathlib import Path

CODE = Path("functions")

# The statements of docs/protocol.md, all other statements that write runs, slices, the outbox or the slots, and the
# queries that find their rows.
QUERIES = (
    *("insert_run", "insert_system_run", "insert_scheduled_run", "forget_idempotency_key"),
    *("claim_slice", "save_progress", "end_slice", "end_run", "cancel_run", "is_cancelled", "note_slice"),
    *("stay_within_lease", "cleanup_live_runs"),
    *("make_places", "take_place", "hold_slice", "free_place"),
    *("find_work", "due_runs", "misplaced_runs", "expire_leases", "resend_due", "end_overlong"),
    *("stop_deleted", "rehome_runs", "tell_of_endings", "untold_runs"),
    *("prune_runs", "old_runs", "prune_alerts", "old_alerts", "prune_slots", "old_slots"),
    *("claim_outbox", "end_outbox_attempt", "claim_unsent", "unsent_notices", "unsent_of_runs", "address_alert"),
    *(
        "take_mail_share",
        "digest_mail",
        "postpone_digest",
        "close_digest",
        "list_digest",
        "insert_alert",
        "insert_test_mail",
    ),
    *("overdue_schedules", "lock_overdue_schedule", "insert_slots", "move_schedule", "decided_slots", "get_schedule"),
    *("insert_pause", "delete_pauses", "get_pause", "list_pauses", "claim_overdue_successes", "overdue_successes"),
    *("start_due_schedules", "mail_team_admins", "ask_addresses", "hand_over_mails"),
    *("cancel_bulk_items", "rerun_bulk_items"),
    *("set_aside", "list_set_aside", "claim_set_aside", "forget_set_aside"),
)

TABLES = (
    "job_runs",
    "job_slices",
    "job_outbox",
    "job_schedule_slots",
    "job_pauses",
    "job_set_aside",
    "job_mail_shares",
)
FUNCTIONS = ("tell_of_ending", "cleanup_runs")

MODULES = (
    *(
        "executor.py",
        "job_steps.py",
        "slices.py",
        "handles.py",
        "author_api.py",
        "queue.py",
        "outbox.py",
        "sweep.py",
        "healers.py",
    ),
    *(
        "set_aside.py",
        "slots.py",
        "delivery.py",
        "attempts.py",
        "announcement.py",
        "mail_shares.py",
        "pauses.py",
        "requests.py",
        "reading.py",
        "run_row.py",
        "successes.py",
    ),
    *("stored_json.py", "watchdog.py"),
)

SUBJECTS = (*QUERIES, *TABLES, *FUNCTIONS, *MODULES)


def kind_of(subject: str) -> str:
    for kind, names in (("query", QUERIES), ("table", TABLES), ("function", FUNCTIONS), ("module", MODULES)):
        if subject in names:
            return kind
    raise LookupError(f"{subject} is not guarded: name it in tests/mutants/guarded.py")


def path_of_module(subject: str) -> Path:
    """Return the path of the package's only module with this name."""
    [path] = CODE.glob(f"nightshift/*/{subject}")
    return path
