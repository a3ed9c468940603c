"""The sweep's decisions: its queries, its time limits, and the rows that it could not heal."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from pg8000.exceptions import DatabaseError

from local.ports import free_port
from nightshift.base import metrics
from nightshift.base.errors import DatabaseGone
from nightshift.database.queries import Database
from nightshift.healing import healers, team_failures
from nightshift.healing.set_aside import MAX_NAMED
from nightshift.healing.sweep import RESERVE_S
from nightshift.schedules.slots import GRACE
from nightshift.testing.rows import make_team, run_row, sweep
from tests.healing.test_poison import REFUSE, lost, poison_runs
from tests.healing.test_sweep import ENDED
from tests.support.fixtures import ROLES
from tests.support.world import claim, received, system_run, trigger

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def asked(db, monkeypatch):
    """Record the names of the queries that run on ``db``."""
    names, query = [], db.query

    def noting(name, /, **params):
        names.append(name)
        return query(name, **params)

    monkeypatch.setattr(db, "query", noting)
    return names


@pytest.fixture(autouse=True)
def counted():
    """Start without metrics; return the counted ones, by job type."""
    metrics._counted.clear()
    return metrics._counted


def scheduled(owner, name, next_slot):
    cron = f"{next_slot.minute} * * * *"
    owner.run_script(f"INSERT INTO job_schedules VALUES ('{name}', '{cron}', '{START}', '{next_slot}')")


def told_to_notify(cloud):
    return received(dataclasses.replace(cloud, queue_url=cloud.notify_queue_url))


def aside(owner):
    return [key for [key] in owner.run_script("SELECT key FROM job_set_aside ORDER BY key")]


def actions(caplog):
    return [record.action for record in caplog.records]


def mend(owner):
    owner.run_script("DROP FUNCTION refuse_job_runs CASCADE; UPDATE job_set_aside SET retry_at = clock_timestamp()")


def put_aside(owner, *keys, healer="expired", retry_at="now"):
    owner.run_script(
        "INSERT INTO job_set_aside (healer, key, error, attempts, retry_at, told_at)"
        f" SELECT '{healer}', key, 'x', 1, '{retry_at}', now() FROM unnest('{{{','.join(keys)}}}'::text[]) AS key"
    )


@pytest.fixture
def find_at_most(monkeypatch):
    """Let each search find fewer rows than there are."""

    def find_at_most(rows):
        def limited(**given):
            return [dataclasses.replace(healer, at_most=rows) for healer in healers.healers_of(**given)]

        monkeypatch.setattr("nightshift.healing.sweep.healers_of", limited)

    return find_at_most


def mended_but_for_the_first(owner, *, count, db, settings):
    """Let a sweep set lost runs aside, then make them due again. Return their ids."""
    ids = lost(owner, count)
    poison_runs(owner, ids)
    sweep(db=db, settings=settings)
    mend(owner)
    poison_runs(owner, ids[:1])
    return ids


class TestItsQuestions:
    def test_rows_that_are_not_due_yet_cost_no_statement_and_no_line(self, cloud, db, owner, asked, caplog):
        scheduled(owner, "db_pruning", START + HOUR)
        owner.run_script(ENDED.format(count=1, days=89))
        owner.run_script("UPDATE job_outbox SET status = 'sent', send_at = NULL, ended_at = clock_timestamp()")
        sweep(db=db, settings=cloud, now=START + HOUR + GRACE - MINUTE)
        assert asked == ["find_work"]
        assert actions(caplog) == []

    def test_only_the_schedule_that_is_overdue_is_locked(self, cloud, db, owner, asked):
        scheduled(owner, "db_pruning", START + HOUR)
        scheduled(owner, "partition_creation", START + HOUR + MINUTE)
        assert sweep(db=db, settings=cloud, now=START + HOUR + GRACE)["caught_up"] == 1
        assert asked.count("lock_overdue_schedule") == 1

    def test_a_batch_that_is_not_full_is_the_last(self, cloud, db, owner, asked):
        lost(owner, 1)
        left = [RESERVE_S + 1]
        assert sweep(db=db, settings=cloud, remaining_s=lambda: left.pop())["recovered"] == 1
        assert asked == ["find_work", "due_runs", "expire_leases"]

    def test_a_single_row_is_tried_once_and_then_passed_over(self, cloud, db, owner, asked):
        poison_runs(owner, lost(owner, 1))
        sweep(db=db, settings=cloud)
        tells = ["claim_set_aside", "insert_alert"]
        assert asked == ["find_work", "due_runs", "expire_leases", "set_aside", *tells]
        asked.clear()
        sweep(db=db, settings=cloud)
        kept = ["list_set_aside", "due_runs", "forget_set_aside", "claim_set_aside"]
        assert asked[:5] == ["find_work", *kept]

    def test_a_row_that_a_batch_has_set_aside_is_not_in_the_next_one(self, cloud, db, owner):
        poison_runs(owner, lost(owner, 3)[:2])
        left = iter(range(RESERVE_S + 20, 0, -1))
        counts = sweep(db=db, settings=dataclasses.replace(cloud, sweep_batch=1), remaining_s=lambda: next(left))
        assert (counts["set_aside"], counts["recovered"]) == (2, 1)

    def test_healers_that_share_a_search_search_once(self, cloud, db, owner, asked):
        ids = lost(owner, 2)
        owner.run_script(
            f"UPDATE job_runs SET resend_at = lease_expires_at, lease_expires_at = NULL WHERE id = '{ids[1]}'"
        )
        counts = sweep(db=db, settings=cloud)
        assert (counts["recovered"], counts["resent"]) == (1, 1)
        assert asked == ["find_work", "due_runs", "expire_leases", "resend_due"]

    def test_a_run_that_a_worker_holds_is_only_asked_to_stop(self, cloud, db, owner, asked, counted):
        team = make_team(owner)
        claim(db, trigger(team, db=db, settings=cloud)["id"], 0)
        owner.run_script("UPDATE projects SET deleted_at = clock_timestamp()")
        asked.clear()
        counts = sweep(db=db, settings=cloud)
        assert (counts["stopped"], counts["ended"]) == (1, 0)
        assert asked == ["find_work", "misplaced_runs", "stop_deleted"]
        assert not counted


class TestItsEndings:
    def test_of_two_lost_workers_one_is_replaced_and_one_ends_its_run(self, cloud, db, owner, counted):
        again, ended = lost(owner, 2)
        owner.run_script(f"UPDATE job_runs SET lost_slices = 4, job_type = 'db_pruning' WHERE id = '{ended}'")
        counts = sweep(db=db, settings=cloud)
        assert (counts["recovered"], counts["ended"]) == (1, 1)
        assert [message["run_id"] for message in received(cloud)] == [again]
        assert len(told_to_notify(cloud)) == 1
        assert counted == {None: {"SlicesLost": [1, 1]}, "db_pruning": {"RunsFailed": [1]}}

    def test_a_run_that_took_too_long_is_counted_and_its_mail_sent(self, cloud, db, owner, counted):
        owner.run_script(
            "UPDATE job_runs SET status = 'running', started_at = now(), ends_by = now()"
            f" WHERE id = '{system_run(owner, 'db_pruning')}'"
        )
        assert sweep(db=db, settings=cloud)["ended"] == 1
        assert len(told_to_notify(cloud)) == 1
        assert counted == {"db_pruning": {"RunsFailed": [1]}}

    def test_of_two_endings_the_one_that_can_be_told_is_told(self, cloud, db, owner):
        poisoned, other = lost(owner, 2)
        owner.run_script(
            "UPDATE job_runs SET status = 'failed', error = 'x', completed_at = lease_expires_at,"
            " lease_expires_at = NULL; UPDATE job_runs SET untold = 'its mail: no right'; DELETE FROM job_outbox"
        )
        owner.run_script(REFUSE.format(table="job_outbox", event="INSERT", condition=f"NEW.run_id = '{poisoned}'"))
        counts = sweep(db=db, settings=cloud)
        assert (counts["told"], counts["set_aside"]) == (1, 1)
        assert aside(owner) == [poisoned]
        [message] = told_to_notify(cloud)
        written = owner.run_script("SELECT id, run_id FROM job_outbox WHERE run_id IS NOT NULL")
        assert [[str(id_) for id_ in row] for row in written] == [[message["outbox_id"], other]]


class TestRowsSetAside:
    def test_a_healed_row_is_forgotten_and_no_other_of_its_batch(self, cloud, db, owner):
        ids = mended_but_for_the_first(owner, count=2, db=db, settings=cloud)
        assert sweep(db=db, settings=cloud)["set_aside"] == 1
        assert aside(owner) == ids[:1]
        mend(owner)
        sweep(db=db, settings=cloud)
        assert aside(owner) == []

    def test_rows_that_the_time_did_not_reach_stay_set_aside(self, cloud, db, owner):
        ids = mended_but_for_the_first(owner, count=3, db=db, settings=cloud)
        # Before the batch, after its failure, before its first row, and before its second.
        left = [RESERVE_S + 1, RESERVE_S + 1, RESERVE_S + 1, RESERVE_S]
        assert sweep(db=db, settings=cloud, remaining_s=lambda: left.pop(0))["set_aside"] == 1
        assert [run_row(owner, run_id)["slice"] for run_id in ids] == [0, 0, 0]
        assert aside(owner) == sorted(ids)
        owner.run_script("UPDATE job_set_aside SET retry_at = clock_timestamp()")
        sweep(db=db, settings=cloud, remaining_s=lambda: RESERVE_S)
        assert aside(owner) == sorted(ids)

    def test_rows_of_a_batch_that_the_time_did_not_reach_stay_set_aside(self, cloud, db, owner):
        ids = lost(owner, 2)
        put_aside(owner, *ids)
        # Before the search, and before the second batch.
        left = [RESERVE_S + 1, RESERVE_S]
        small = dataclasses.replace(cloud, sweep_batch=1)
        assert sweep(db=db, settings=small, remaining_s=lambda: left.pop(0))["recovered"] == 1
        assert aside(owner) == sorted(ids)

    def test_rows_that_were_not_found_stay_set_aside(self, cloud, db, owner, find_at_most):
        ids = lost(owner, 3)
        put_aside(owner, ids[2])
        find_at_most(2)
        assert sweep(db=db, settings=cloud)["recovered"] == 2
        assert aside(owner) == ids[2:]
        assert sweep(db=db, settings=cloud)["recovered"] == 1
        assert aside(owner) == []

    def test_rows_whose_search_failed_stay_set_aside(self, cloud, db, owner):
        owner.run_script(
            "INSERT INTO job_successes (job_type, expected_within, overdue_at) VALUES ('db_pruning', '1 h', now());"
            f"REVOKE SELECT ON job_successes FROM {ROLES}"
        )
        put_aside(owner, "db_pruning", healer="silent")
        with pytest.raises(DatabaseError, match="permission denied for table job_successes"):
            sweep(db=db, settings=cloud)
        assert aside(owner) == ["db_pruning"]

    def test_rows_that_are_set_aside_take_no_place_of_others(self, cloud, db, owner, find_at_most):
        ids = lost(owner, 4)
        put_aside(owner, *ids[:2], retry_at="tomorrow")
        find_at_most(1)
        assert sweep(db=db, settings=cloud)["recovered"] == 1
        assert [run_row(owner, run_id)["slice"] for run_id in ids] == [0, 0, 1, 0]
        assert aside(owner) == sorted(ids[:2])

    def test_a_mail_that_cannot_be_written_is_written_later(self, cloud, db, owner):
        poison_runs(owner, lost(owner, 1))
        owner.run_script(f"REVOKE INSERT ON job_outbox FROM {ROLES}")
        with pytest.raises(DatabaseError, match="permission denied for table job_outbox"):
            sweep(db=db, settings=cloud)
        owner.run_script("SELECT grant_job_rights()")
        sweep(db=db, settings=cloud)
        assert len(owner.run_script("SELECT FROM job_outbox")) == 1

    @pytest.mark.parametrize(
        ("count", "subject", "more"),
        [(1, "a row", []), (MAX_NAMED, "10 rows", []), (MAX_NAMED + 1, "11 rows", ["And 1 more."])],
    )
    def test_a_mail_names_ten_rows_and_counts_the_rest(self, cloud, db, owner, count, subject, more):
        poison_runs(owner, lost(owner, count))
        sweep(db=db, settings=cloud)
        [[alert]] = owner.run_script("SELECT content FROM job_outbox")
        assert alert["subject"] == f"The sweep could not heal {subject}"
        named, rest = alert["lines"][: min(count, MAX_NAMED)], alert["lines"][min(count, MAX_NAMED) :]
        assert all(line.startswith("Run ") for line in named)
        assert rest[:-1] == more
        assert rest[-1].startswith("The sweep still heals all other rows and retries these every few minutes.")

    def test_a_row_that_is_set_aside_is_counted(self, cloud, db, owner, counted):
        poison_runs(owner, lost(owner, 1))
        sweep(db=db, settings=cloud)
        assert counted == {None: {"RowsSetAside": [1]}}


class TestItsFailures:
    def test_a_search_that_fails_is_raised_when_everything_is_healed(self, cloud, db, owner):
        [run_id] = lost(owner, 1)
        # The search alone writes came_at.
        owner.run_script(
            f"REVOKE UPDATE ON job_sweep FROM {ROLES};"
            f"GRANT UPDATE (alerts_until, logs_until, counted_until) ON job_sweep TO {ROLES}"
        )
        with pytest.raises(DatabaseError, match="permission denied for table job_sweep"):
            sweep(db=db, settings=cloud)
        assert run_row(owner, run_id)["slice"] == 1

    def test_a_database_that_is_not_there_is_asked_for_nothing_more(self, cloud, config, caplog):
        nowhere = Database(dataclasses.replace(config, database_port=free_port()))
        with pytest.raises(DatabaseGone):
            sweep(db=nowhere, settings=cloud)
        assert "sweep_failed" not in actions(caplog)

    def test_a_connection_that_ends_at_the_note_of_a_row_is_raised(self, cloud, db, owner):
        poison_runs(owner, lost(owner, 1))
        owner.run_script(
            "CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
            " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;"
            "CREATE TRIGGER hang_up BEFORE INSERT ON job_set_aside FOR EACH ROW EXECUTE FUNCTION hang_up()"
        )
        with pytest.raises(DatabaseGone):
            sweep(db=db, settings=cloud)

    def test_each_of_its_last_parts_fails_alone_and_the_first_is_raised(self, cloud, db, owner, caplog, monkeypatch):
        make_team(owner)
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, status, error, team_id, project_id, triggered_by, started_at,"
            " completed_at) SELECT gen_random_uuid(), 'revenuecat_sync', 'failed', 'x', team_id, id, 'x',"
            " clock_timestamp(), clock_timestamp() FROM projects"
        )
        poison_runs(owner, lost(owner, 1))
        owner.run_script(f"REVOKE INSERT ON job_outbox FROM {ROLES}")
        monkeypatch.setattr(team_failures, "OF_THE_SYSTEM", "(")
        caplog.set_level("INFO")
        with pytest.raises(DatabaseError, match="permission denied for table job_outbox"):
            sweep(db=db, settings=cloud)
        assert [record.message for record in caplog.records if record.action == "sweep_failed"] == [
            "The sweep failed at the rows set aside",
            "The sweep failed at the failures of teams",
        ]
        assert actions(caplog)[-1] == "swept"
