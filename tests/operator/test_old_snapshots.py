"""Health names the oldest open snapshot, which keeps Postgres from removing old row versions."""

import pytest

from nightshift.operator import database_checks
from nightshift.operator.checks import run_all


@pytest.fixture
def look(db, monkeypatch):
    """Return the line about snapshots, where ten transactions are many."""
    monkeypatch.setattr(database_checks, "FAR_BEHIND", 10)

    def look():
        [line] = [
            line for line in run_all(database_checks.checks_of_database(db, limit_gib=0)) if "old" in line["name"]
        ]
        return line

    return look


def pass_transactions(owner, count=10):
    for _ in range(count):
        owner.run_script("SELECT pg_current_xact_id()")


def test_a_session_is_named_with_its_role_and_what_ends_it(look, owner, connect):
    assert look()["says"] == "no open transaction"
    analyst = connect()
    analyst.run_script("SET application_name = 'a notebook'")
    analyst.run_script("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM job_runs")
    [[pid]] = analyst.run_script("SELECT pg_backend_pid()")
    pass_transactions(owner, 9)
    young = look()
    assert young["ok"]
    assert young["says"].startswith(f"session {pid} of nightshift_tests (a notebook) open for ")
    assert young["says"].endswith(" has the oldest, 9 transactions behind")
    pass_transactions(owner, 1)
    old = look()
    assert not old["ok"]
    assert "10 transactions behind. Until it ends, Postgres removes no row version" in old["says"]
    assert old["do"].endswith(f"SELECT pg_terminate_backend({pid});")
    owner.run_script(old["do"].rpartition(": ")[2])
    # Postgres only sends a signal: the session ends a moment later.
    while owner.run_script(f"SELECT FROM pg_stat_activity WHERE pid = {pid}"):
        pass
    assert look()["says"] == "no open transaction"


def test_a_transaction_that_only_wrote_counts_too(look, owner, connect):
    writer = connect()
    writer.run_script("BEGIN; SELECT pg_current_xact_id()")
    pass_transactions(owner, 11)
    assert not look()["ok"]


def test_the_age_of_a_strangers_session_is_not_shown(look, owner):
    owner.run_script("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM job_runs")
    assert "open for" not in look()["says"]
    owner.run_script("ROLLBACK")
