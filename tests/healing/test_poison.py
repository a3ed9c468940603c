"""A row that cannot be healed does not affect other rows, and no ending depends on the mails that it owes."""

import dataclasses
import uuid
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from pg8000.exceptions import DatabaseError

from nightshift.base.errors import DatabaseBusy
from nightshift.healing.healers import healers_of
from nightshift.healing.set_aside import MAX_NAMED, TROUBLES
from nightshift.operator.sweep_checks import checks_of_sweep
from nightshift.runs import requests
from nightshift.testing.rows import make_team, run_row, sweep, work
from tests.support.fixtures import ROLES
from tests.support.world import received, state_of, store_keys, system_run, trigger

TABLES = (
    *("job_runs", "job_outbox", "job_schedule_slots", "job_team_schedules", "job_team_slots", "job_audit_entries"),
    *("job_agent_keys", "job_alerts", "job_sign_ins", "job_sign_in_shares", "job_sessions"),
    *("job_alert_deliveries", "job_log_shares", "job_days", "job_bulk_actions", "job_bulk_items"),
)
REFUSE = """
    CREATE FUNCTION refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF {condition} THEN RAISE EXCEPTION 'the platform refuses it'; END IF;
        RETURN coalesce(NEW, OLD);
    END $$;
    CREATE TRIGGER refuse BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_{table}()
"""


def outbox(owner, run_id):
    return owner.run_script(f"SELECT kind, recipient, status FROM job_outbox WHERE run_id = '{run_id}' ORDER BY kind")


@pytest.fixture
def team(owner):
    return make_team(owner)


@pytest.fixture
def run_id(team, db, cloud):
    row = trigger(team, db=db, settings=cloud, notify=True, triggered_by=f"manual:user:{team.users['admin']}")
    return str(row["id"])


@pytest.fixture
def job(monkeypatch):
    def completes(run, db):
        yield from ()
        return {}

    monkeypatch.setattr("nightshift.jobs.registry.JobType.handler", lambda self: completes)


def by_the_worker(run_id, *, db, cloud, owner):
    work(run_id, 0, db=db, settings=cloud)


def by_a_cancel(run_id, *, db, cloud, owner):
    requests.cancel(state_of(db, run_id).run, requested_by="manual:user:ada", db=db, settings=cloud)


def by_the_sweep(run_id, *, db, cloud, owner):
    owner.run_script(
        "UPDATE job_runs SET status = 'running', started_at = now(), resend_at = NULL, lost_slices = 4,"
        " request_id = 'r', slice_started_at = now(),"
        f" lease_expires_at = now() - interval '1 s' WHERE id = '{run_id}'"
    )
    with suppress(DatabaseError):  # another right may be missing, which is reported at the end
        sweep(db=db, settings=cloud)


def by_a_person(run_id, *, db, cloud, owner):
    owner.run_script("SET ROLE nightshift_worker")
    owner.run_script(
        "UPDATE job_runs SET status = 'failed', error = 'Enough', completed_at = clock_timestamp(), resend_at = NULL"
        f" WHERE id = '{run_id}'"
    )
    owner.run_script("RESET ROLE")


ENDINGS = [by_the_worker, by_a_cancel, by_the_sweep, by_a_person]

# Ways to break an ending's mails, the repair of each, and the reason that the run shows.
UNTELLABLE = {
    "no right to read people": (
        f"REVOKE SELECT ON users FROM {ROLES}",
        "SELECT grant_job_rights()",
        "its mail: permission denied for table users",
    ),
    "no right to write mails": (
        f"REVOKE INSERT ON job_outbox FROM {ROLES}",
        "SELECT grant_job_rights()",
        "its event: permission denied for table job_outbox; its mail: permission denied for table job_outbox",
    ),
    "a column that the platform renamed": (
        "ALTER TABLE users RENAME COLUMN email TO address",
        "ALTER TABLE users RENAME COLUMN address TO email",
        "its mail: column person.email does not exist",
    ),
    "a constraint of the platform": (
        "ALTER TABLE job_outbox ADD CONSTRAINT ours CHECK (recipient LIKE '%@acme.example')",
        "ALTER TABLE job_outbox DROP CONSTRAINT ours",
        'its mail: new row for relation "job_outbox" violates check constraint "ours"',
    ),
    "a trigger of the platform": (
        REFUSE.format(table="job_outbox", event="INSERT", condition="NEW.kind = 'event'"),
        "DROP TRIGGER refuse ON job_outbox",
        "its event: the platform refuses it",
    ),
    "a rule of the platform": (
        "CREATE RULE none AS ON INSERT TO job_outbox WHERE NEW.kind = 'mail' DO INSTEAD NOTHING",
        "DROP RULE none ON job_outbox",
        "its mail: a rule or a trigger on job_outbox swallows it",
    ),
    "a trigger that drops rows": (
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER nothing BEFORE INSERT ON job_outbox FOR EACH ROW EXECUTE FUNCTION nothing()",
        "DROP TRIGGER nothing ON job_outbox",
        "its event: a rule or a trigger on job_outbox swallows it; its mail: a rule or a trigger on job_outbox",
    ),
    "rows that are hidden": (
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY; ALTER ROLE nightshift_tests SET row_security = off",
        "ALTER TABLE users DISABLE ROW LEVEL SECURITY; ALTER ROLE nightshift_tests RESET row_security",
        'its mail: query would be affected by row-level security policy for table "users"',
    ),
    "a project that cannot be read": (
        f"REVOKE SELECT ON projects FROM {ROLES}",
        "SELECT grant_job_rights()",
        "its team: permission denied for table projects",
    ),
}


@pytest.mark.parametrize("end", ENDINGS)
@pytest.mark.parametrize("poison", UNTELLABLE)
def test_an_ending_stands_and_is_told_when_it_can_be(cloud, connect, owner, team, run_id, job, poison, end):
    broken, mended, says = UNTELLABLE[poison]
    owner.run_script("UPDATE job_deployment SET wants_events = true")
    owner.run_script(broken)
    db = connect()
    if end is by_a_person and "row_security" in broken:
        owner.run_script("SET row_security = off")
    end(run_id, db=db, cloud=cloud, owner=owner)
    row = run_row(owner, run_id)
    assert row["status"] in ("completed", "failed", "cancelled")
    assert row["untold"].startswith(says)
    owner.run_script(mended)
    owner.run_script("UPDATE job_set_aside SET retry_at = clock_timestamp()")
    assert sweep(db=connect(), settings=cloud)["told"] == 1
    assert outbox(owner, run_id) == [["event", None, "unsent"], ["mail", "admin@owls.example", "unsent"]]
    assert run_row(owner, run_id)["untold"] is None
    assert owner.run_script("SELECT * FROM job_set_aside") == []


def test_one_part_that_fails_keeps_no_other_part_back(cloud, db, owner, run_id):
    owner.run_script(f"UPDATE job_deployment SET wants_events = true; REVOKE SELECT ON users FROM {ROLES}")
    by_a_cancel(run_id, db=db, cloud=cloud, owner=owner)
    assert outbox(owner, run_id) == [["event", None, "unsent"]]


def test_a_lock_on_the_platforms_table_holds_an_ending_up_briefly(cloud, db, owner, run_id, connect):
    """The server's own limit for a lock is five seconds, and a batch has many endings."""
    other = connect(user="postgres")
    with other.transaction():
        other.run_script("LOCK TABLE users")
        by_a_cancel(run_id, db=db, cloud=cloud, owner=owner)
    row = run_row(owner, run_id)
    assert (row["status"], row["untold"]) == (
        "cancelled",
        "its mail: canceling statement due to lock timeout",
    )
    assert sweep(db=db, settings=cloud)["told"] == 1


ODD_ROWS = {
    "no e-mail": ("ALTER TABLE users ALTER email DROP NOT NULL; UPDATE users SET email = NULL", []),
    "an empty e-mail": ("DROP INDEX users_email; UPDATE users SET email = ' '", []),
    "nobody in the team": ("DELETE FROM team_members", []),
    "a user who is gone": ("DELETE FROM team_members; UPDATE api_keys SET created_by = NULL; DELETE FROM users", []),
    "a member twice": (
        "ALTER TABLE team_members DROP CONSTRAINT team_members_pkey; INSERT INTO team_members TABLE team_members",
        [["mail", "admin@owls.example", "unsent"]],
    ),
    "a user twice": (
        "ALTER TABLE team_members DROP CONSTRAINT team_members_user_id_fkey;"
        "ALTER TABLE api_keys DROP CONSTRAINT api_keys_created_by_fkey;"
        "ALTER TABLE users DROP CONSTRAINT users_pkey; DROP INDEX users_email; INSERT INTO users SELECT * FROM users",
        [["mail", "admin@owls.example", "unsent"]],
    ),
}


@pytest.mark.parametrize("odd", ODD_ROWS)
def test_odd_rows_of_a_platform_are_nothing_that_stays_untold(cloud, db, owner, run_id, odd):
    statement, mails = ODD_ROWS[odd]
    owner.run_script(statement)
    by_a_cancel(run_id, db=db, cloud=cloud, owner=owner)
    assert run_row(owner, run_id)["untold"] is None
    assert outbox(owner, run_id) == mails


def test_a_key_that_is_there_twice_still_leads_to_its_creator(cloud, db, owner, team):
    [[key_id]] = owner.run_script("SELECT id FROM api_keys")
    owner.run_script(
        "ALTER TABLE api_keys DROP CONSTRAINT api_keys_pkey, DROP CONSTRAINT api_keys_key_hash_key;"
        "INSERT INTO api_keys SELECT * FROM api_keys"
    )
    row = trigger(team, db=db, settings=cloud, notify=True, triggered_by=f"manual:api_key:{key_id}")
    by_a_cancel(row["id"], db=db, cloud=cloud, owner=owner)
    assert outbox(owner, row["id"]) == [["mail", "admin@owls.example", "unsent"]]


def test_a_success_that_cannot_be_noted_is_noted_later(cloud, db, owner, job):
    run_id = system_run(owner, "db_pruning")
    owner.run_script(
        "INSERT INTO job_successes (job_type, expected_within, overdue_at, since)"
        " VALUES ('db_pruning', '293000 years', 'infinity', '2026-01-01Z')"
    )
    work(run_id, 0, db=db, settings=cloud)
    row = run_row(owner, run_id)
    assert (row["status"], row["untold"]) == ("completed", "its success: timestamp out of range")
    assert outbox(owner, run_id) == [["mail", None, "unsent"]]
    owner.run_script("UPDATE job_successes SET expected_within = '1 h'")
    assert sweep(db=db, settings=cloud)["told"] == 1
    [[noted]] = owner.run_script("SELECT last_success_at = completed_at FROM job_successes, job_runs")
    assert noted


def test_an_ordinary_ending_writes_its_run_once(cloud, db, owner, run_id):
    """Without errors, the ending's mails cause no second version of the row."""
    before = owner.run_script("SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'job_runs'")
    by_a_cancel(run_id, db=db, cloud=cloud, owner=owner)
    db.run_script("SELECT pg_stat_force_next_flush()")
    owner.run_script("SELECT pg_stat_clear_snapshot()")
    after = owner.run_script("SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'job_runs'")
    assert after[0][0] - before[0][0] == 1


def lost(owner, count, **columns):
    """Create runs with expired leases, the oldest first, and return their ids."""
    ids = [str(uuid.uuid4()) for _ in range(count)]
    for number, run_id in enumerate(ids):
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, status, triggered_by, started_at, request_id, slice_started_at,"
            f" lease_expires_at) VALUES ('{run_id}', 'type {number}', 'running', 'x', now(), 'r', now(),"
            f" now() - interval '{count - number} s')"
        )
    return ids


def poison_runs(owner, ids, event="UPDATE"):
    condition = f"OLD.id = ANY ('{{{','.join(ids)}}}')"
    owner.run_script(REFUSE.format(table="job_runs", event=event, condition=condition))


class TestBatches:
    """Rows that cannot be healed come first and fill whole batches."""

    @pytest.fixture
    def small(self, cloud):
        return dataclasses.replace(cloud, sweep_batch=3)

    def arrange_expired(self, owner):
        ids = lost(owner, 9)
        poison_runs(owner, ids[:5])
        return ids, "SELECT count(*) FROM job_runs WHERE slice = 1"

    def arrange_unclaimed(self, owner):
        ids = lost(owner, 9)
        owner.run_script("UPDATE job_runs SET resend_at = lease_expires_at, lease_expires_at = NULL")
        poison_runs(owner, ids[:5])
        return ids, "SELECT count(*) FROM job_runs WHERE resends = 1"

    def arrange_overlong(self, owner):
        ids = lost(owner, 9)
        owner.run_script(
            "UPDATE job_runs SET ends_by = lease_expires_at, lease_expires_at = NULL,"
            " resend_at = now() + interval '1 h'"
        )
        poison_runs(owner, ids[:5])
        return ids, "SELECT count(*) FROM job_runs WHERE status = 'failed'"

    def arrange_unsent(self, owner):
        ids = [str(uuid.uuid4()) for _ in range(9)]
        for number, id_ in enumerate(ids):
            owner.run_script(
                "INSERT INTO job_outbox (id, content, send_at) VALUES"
                f" ('{id_}', '{{\"number\": {number}}}', now() - interval '{9 - number} s')"
            )
        owner.run_script(
            REFUSE.format(table="job_outbox", event="UPDATE", condition="CAST(OLD.content->>'number' AS int) < 5")
        )
        return ids, "SELECT count(*) FROM job_outbox WHERE resends = 1"

    def arrange_untold(self, owner):
        ids = lost(owner, 9)
        owner.run_script(
            "UPDATE job_runs SET status = 'failed', error = 'x', completed_at = lease_expires_at,"
            " lease_expires_at = NULL; UPDATE job_runs SET untold = 'its mail: no right'; DELETE FROM job_outbox"
        )
        condition = f"NEW.run_id = ANY ('{{{','.join(ids[:5])}}}')"
        owner.run_script(REFUSE.format(table="job_outbox", event="INSERT", condition=condition))
        return ids, "SELECT count(*) FROM job_outbox WHERE run_id IS NOT NULL"

    def arrange_moved(self, owner):
        old, new = make_team(owner, slug="old", projects=9), make_team(owner, slug="new")
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, resend_at, created_at)"
            " SELECT gen_random_uuid(), 'revenuecat_sync', team_id, id, 'x', now() + interval '1 h',"
            f" now() + interval '1 s' * row_number() OVER (ORDER BY id) FROM projects WHERE team_id = '{old.id}';"
            f"UPDATE projects SET team_id = '{new.id}', slug = CAST(id AS text)"
        )
        ids = [str(id_) for [id_] in owner.run_script("SELECT id FROM job_runs ORDER BY created_at")]
        poison_runs(owner, ids[:5])
        return ids, f"SELECT count(*) FROM job_runs WHERE team_id = '{new.id}'"

    def arrange_deleted(self, owner):
        team = make_team(owner, projects=9)
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, resend_at, created_at)"
            " SELECT gen_random_uuid(), 'revenuecat_sync', team_id, id, 'x', now() + interval '1 h',"
            f" now() + interval '1 s' * row_number() OVER (ORDER BY id) FROM projects WHERE team_id = '{team.id}';"
            "UPDATE projects SET deleted_at = now()"
        )
        ids = [str(id_) for [id_] in owner.run_script("SELECT id FROM job_runs ORDER BY created_at")]
        poison_runs(owner, ids[:5])
        return ids, "SELECT count(*) FROM job_runs WHERE status = 'cancelled'"

    def arrange_old_runs(self, owner):
        ids = lost(owner, 9)
        owner.run_script(
            "UPDATE job_runs SET status = 'cancelled', completed_at = lease_expires_at - interval '91 days',"
            " lease_expires_at = NULL; DELETE FROM job_outbox;"
            "CREATE TABLE reports (run_id uuid REFERENCES job_runs);"
            f"INSERT INTO reports SELECT unnest('{{{','.join(ids[:5])}}}'::uuid[])"
        )
        return ids, "SELECT 9 - count(*) FROM job_runs"

    def arrange_old_alerts(self, owner):
        ids = [str(uuid.uuid4()) for _ in range(9)]
        for number, id_ in enumerate(ids):
            owner.run_script(
                "INSERT INTO job_outbox (id, content, status, send_at, ended_at) VALUES"
                f" ('{id_}', '{{}}', 'sent', NULL, now() - interval '91 days' - interval '{9 - number} s')"
            )
        condition = f"OLD.id = ANY ('{{{','.join(ids[:5])}}}')"
        owner.run_script(REFUSE.format(table="job_outbox", event="DELETE", condition=condition))
        return ids, "SELECT 9 - count(*) FROM job_outbox WHERE status = 'sent'"

    def arrange_old_slots(self, owner):
        owner.run_script(
            "INSERT INTO job_schedule_slots (job_type, slot, outcome, decided_at)"
            " SELECT 'db_pruning', timestamptz '2026-01-01Z' + interval '1 h' * n, 'missed',"
            " now() - interval '91 days' + interval '1 s' * n FROM generate_series(0, 8) n"
        )
        condition = "OLD.slot < '2026-01-01 05:00Z'"
        owner.run_script(REFUSE.format(table="job_schedule_slots", event="DELETE", condition=condition))
        keys = owner.run_script("SELECT job_type || ' ' || extract(epoch FROM slot) FROM job_schedule_slots ORDER BY 1")
        return [key for [key] in keys], "SELECT 9 - count(*) FROM job_schedule_slots"

    def arrange_team_slots(self, owner):
        teams = [make_team(owner, slug=f"team-{number}") for number in range(9)]
        ids = [
            owner.run_script(
                "INSERT INTO job_team_schedules"
                " (id, project_id, job_type, name, cron, zone, params, created_by, next_slot)"
                f" VALUES (gen_random_uuid(), '{team.project_id}', 'revenuecat_sync', '', '@daily', 'UTC', '{{}}', 'x',"
                f" now() - interval '{9 - number} s') RETURNING id::text"
            )[0][0]
            for number, team in enumerate(teams)
        ]
        condition = f"OLD.id = ANY ('{{{','.join(ids[:5])}}}')"
        owner.run_script(REFUSE.format(table="job_team_schedules", event="UPDATE", condition=condition))
        return ids, "SELECT count(*) FROM job_team_slots"

    def arrange_old_team_slots(self, owner):
        team = make_team(owner)
        owner.run_script(
            "INSERT INTO job_team_schedules (id, project_id, job_type, name, cron, zone, params, created_by)"
            f" VALUES (gen_random_uuid(), '{team.project_id}', 'revenuecat_sync', '', '@daily', 'UTC', '{{}}', 'x');"
            "INSERT INTO job_team_slots (schedule_id, slot, outcome, decided_at)"
            " SELECT id, timestamptz '2026-01-01Z' + interval '1 h' * n, 'missed',"
            " now() - interval '91 days' + interval '1 s' * n FROM job_team_schedules, generate_series(0, 8) n"
        )
        condition = "OLD.slot < '2026-01-01 05:00Z'"
        owner.run_script(REFUSE.format(table="job_team_slots", event="DELETE", condition=condition))
        keys = owner.run_script(
            "SELECT schedule_id || ' ' || extract(epoch FROM slot) FROM job_team_slots ORDER BY slot"
        )
        return [key for [key] in keys], "SELECT 9 - count(*) FROM job_team_slots"

    def arrange_old_team_schedules(self, owner):
        team = make_team(owner)
        rows = owner.run_script(
            "INSERT INTO job_team_schedules (id, project_id, job_type, name, run_at, zone, params, created_by)"
            f" SELECT gen_random_uuid(), '{team.project_id}', 'revenuecat_sync', '',"
            " now() - interval '91 days' + interval '1 s' * n, 'UTC', '{}', 'x' FROM generate_series(0, 8) n"
            " RETURNING id::text"
        )
        ids = [id_ for [id_] in rows]
        condition = f"OLD.id = ANY ('{{{','.join(ids[:5])}}}')"
        owner.run_script(REFUSE.format(table="job_team_schedules", event="DELETE", condition=condition))
        return ids, "SELECT 9 - count(*) FROM job_team_schedules"

    def arrange_old_audit_entries(self, owner):
        ids = [str(uuid.uuid4()) for _ in range(9)]
        for number, id_ in enumerate(ids):
            owner.run_script(
                "INSERT INTO job_audit_entries (id, occurred_at, actor, action, subject_type, subject_id, request_id)"
                f" VALUES ('{id_}', now() - interval '366 days' - interval '{9 - number} s',"
                " 'user:x', 'x.y', 'x', '', '')"
            )
        condition = f"OLD.id = ANY ('{{{','.join(ids[:5])}}}')"
        owner.run_script(REFUSE.format(table="job_audit_entries", event="DELETE", condition=condition))
        return ids, "SELECT 9 - count(*) FROM job_audit_entries"

    def arrange_keys(self, owner):
        team = make_team(owner)
        ids = [
            owner.run_script(
                "WITH key AS (INSERT INTO api_keys (team_id, key_type, key_hash, key_prefix)"
                f" VALUES ('{team.id}', 'agent', sha256('{number}'), 'owl_agent_xxxx')"
                f" RETURNING id) INSERT INTO job_agent_keys (key_id, look_at)"
                f" SELECT id, now() - interval '{9 - number} s' FROM key RETURNING key_id::text"
            )[0][0]
            for number in range(9)
        ]
        condition = f"OLD.key_id = ANY ('{{{','.join(ids[:5])}}}')"
        owner.run_script(REFUSE.format(table="job_agent_keys", event="UPDATE", condition=condition))
        return ids, "SELECT count(*) FROM job_agent_keys WHERE look_at > clock_timestamp()"

    def alerts(self, owner, count=9, **columns):
        """Make alerts by mail that reach nobody, in the order of their ids, and return these."""
        [[team_id]] = owner.run_script("INSERT INTO teams (name, slug) VALUES ('T', 't') RETURNING id::text")
        ids = sorted(str(uuid.uuid4()) for _ in range(count))
        for number, id_ in enumerate(ids):
            values = {name: f"({value}) - interval '{count - number} s'" for name, value in columns.items()}
            owner.run_script(
                "INSERT INTO job_alerts (id, team_id, name, events, channel, config, minutes_between, overdue_hours,"
                f" created_by{''.join(f', {name}' for name in values)}) VALUES ('{id_}', '{team_id}', 'x',"
                f" '{{failed,overdue}}', 'mail', '{{}}', 0, 1, 'x'{''.join(f', {value}' for value in values.values())})"
            )
        return ids

    def refuse(self, owner, table, event, condition):
        owner.run_script(REFUSE.format(table=table, event=event, condition=condition))

    def arrange_alerts_of_runs(self, owner):
        team = make_team(owner, projects=9)
        owner.run_script(
            "INSERT INTO job_alerts (team_id, name, events, channel, config, minutes_between, created_by, active_since)"
            f" VALUES ('{team.id}', 'x', '{{failed}}', 'mail', '{{}}', 5, 'x', now() - interval '1 h')"
        )
        rows = owner.run_script(
            "INSERT INTO job_runs (id, job_type, status, error, team_id, project_id, triggered_by, completed_at)"
            " SELECT gen_random_uuid(), 'revenuecat_sync', 'failed', 'x', team_id, id, 'x',"
            " clock_timestamp() + interval '1 ms' * row_number() OVER () FROM projects RETURNING id::text"
        )
        ids = [id_ for [id_] in rows]
        self.refuse(owner, "job_alert_deliveries", "INSERT", f"NEW.run_id = ANY ('{{{','.join(ids[:5])}}}')")
        return ids, "SELECT count(*) FROM job_alert_deliveries WHERE run_id IS NOT NULL"

    def arrange_logs(self, owner):
        """Let nine teams each have a run with lines, in the order of their endings."""
        ids, teams = [], []
        for number in range(9):
            [[team_id]] = owner.run_script(
                f"INSERT INTO teams (name, slug) VALUES ('T', 'logs-{number}') RETURNING id::text"
            )
            [[run_id]] = owner.run_script(
                "INSERT INTO job_runs (id, job_type, status, team_id, project_id, triggered_by, completed_at,"
                f" logged_lines) VALUES (gen_random_uuid(), 'revenuecat_sync', 'completed', '{team_id}',"
                f" gen_random_uuid(), 'x', now() - interval '1 h' + interval '{number} s', 1) RETURNING id::text"
            )
            owner.run_script(
                "INSERT INTO job_run_logs (run_id, last_line, team_id, slice, bytes, lines)"
                f" VALUES ('{run_id}', 1, '{team_id}', 0, 7, '[]')"
            )
            ids.append(run_id)
            teams.append(team_id)
        owner.run_script("UPDATE job_sweep SET logs_until = now() - interval '1 day'")
        self.refuse(owner, "job_log_shares", "INSERT", f"NEW.team_id = ANY ('{{{','.join(teams[:5])}}}')")
        return ids, "SELECT count(*) FROM job_log_shares WHERE bytes = 7"

    def arrange_alerts_overdue(self, owner):
        ids = self.alerts(owner, overdue_look_at="now()")
        self.refuse(owner, "job_alerts", "UPDATE", f"OLD.id = ANY ('{{{','.join(ids[:5])}}}')")
        return ids, "SELECT count(*) FROM job_alerts WHERE overdue_look_at > now()"

    def arrange_alerts_due(self, owner):
        ids = self.alerts(owner)
        for number, id_ in enumerate(ids):
            owner.run_script(
                "INSERT INTO job_alert_deliveries (alert_id, team_id, kind, about, data, status, send_at, expires_at,"
                f' created_at) SELECT id, team_id, \'test\', \'x\', \'{{"team": {{"name": "T", "id": "t"}}}}\','
                f" 'unsent', now(), now(), now() - interval '{9 - number} s' FROM job_alerts WHERE id = '{id_}'"
            )
        self.refuse(owner, "job_alert_deliveries", "UPDATE", f"OLD.alert_id = ANY ('{{{','.join(ids[:5])}}}')")
        return ids, "SELECT count(*) FROM job_alert_deliveries WHERE status = 'failed'"

    def arrange_alerts_paused(self, owner):
        ids = self.alerts(owner)
        for number, id_ in enumerate(ids):
            owner.run_script(
                "UPDATE job_alerts SET pause_untold = true, paused_by = 'nightshift', paused_why = 'x',"
                f" paused_at = now() - interval '{9 - number} s' WHERE id = '{id_}'"
            )
        self.refuse(owner, "job_alerts", "UPDATE", f"OLD.id = ANY ('{{{','.join(ids[:5])}}}')")
        return ids, "SELECT count(*) FROM job_alerts WHERE NOT pause_untold"

    def arrange_alerts_delivered(self, owner):
        ids = [str(uuid.uuid4()) for _ in range(9)]
        for number, id_ in enumerate(ids):
            owner.run_script(
                "INSERT INTO job_alert_deliveries"
                " (id, alert_id, team_id, kind, about, data, status, ended_at, expires_at, created_at)"
                f" VALUES ('{id_}', '{id_}', '{id_}', 'test', 'x', '{{}}', 'sent', now(), now(),"
                f" now() - interval '91 days' - interval '{9 - number} s')"
            )
        self.refuse(owner, "job_alert_deliveries", "DELETE", f"OLD.id = ANY ('{{{','.join(ids[:5])}}}')")
        return ids, "SELECT 9 - count(*) FROM job_alert_deliveries"

    def arrange_alerts_gone(self, owner):
        ids = self.alerts(owner, deleted_at="now()")
        self.refuse(owner, "job_alerts", "DELETE", f"OLD.id = ANY ('{{{','.join(ids[:5])}}}')")
        return ids, "SELECT 9 - count(*) FROM job_alerts"

    def arrange_old_days(self, owner):
        rows = owner.run_script(
            "INSERT INTO job_days (job_type, day, completed, failed, cancelled, took, waited)"
            " SELECT 'x', current_date - 60 + n, 1, 0, 0, '{}', '{}' FROM generate_series(0, 8) n RETURNING id"
        )
        keys = [str(key) for (key,) in rows]
        self.refuse(owner, "job_days", "DELETE", f"OLD.id = ANY ('{{{','.join(keys[:5])}}}')")
        return keys, "SELECT 9 - count(*) FROM job_days"

    def arrange_old_sign_ins(self, owner):
        rows = owner.run_script(
            "INSERT INTO job_sign_ins (id, secret_hash, user_id, expires_at) SELECT gen_random_uuid(), '',"
            " gen_random_uuid(), now() - interval '10 s' + interval '1 s' * n FROM generate_series(0, 8) n"
            " RETURNING id::text"
        )
        return self.five_refused(owner, "job_sign_ins", "id::text", [key for [key] in rows])

    def arrange_old_sign_in_shares(self, owner):
        keys = [f"source {number}" for number in range(9)]
        for number, key in enumerate(keys):
            owner.run_script(
                f"INSERT INTO job_sign_in_shares VALUES ('{key}', '{{}}', now() - interval '{10 - number} s')"
            )
        return self.five_refused(owner, "job_sign_in_shares", "key", keys)

    def arrange_old_sessions(self, owner):
        rows = owner.run_script(
            "INSERT INTO job_sessions (user_id, token_hash, is_cookie, signed_in_by, source, browser, ends_at)"
            " SELECT gen_random_uuid(), CAST(n::text AS bytea), true, 'code', '', '',"
            " now() - interval '10 s' + interval '1 s' * n FROM generate_series(0, 8) n RETURNING id::text"
        )
        return self.five_refused(owner, "job_sessions", "id::text", [key for [key] in rows])

    def arrange_bulk_items(self, owner):
        """Items of a bulk action that reruns a failed run of each of nine projects."""
        team = make_team(owner, projects=9)
        store_keys(owner)
        [[action_id]] = self.bulk_actions(owner, team.id, "now()")
        rows = owner.run_script(
            "WITH failed AS (INSERT INTO job_runs (id, job_type, status, error, team_id, project_id, triggered_by,"
            " created_at, completed_at) SELECT gen_random_uuid(), 'revenuecat_sync', 'failed', 'x', team_id, id, 'x',"
            " now() - interval '1 minute', now() FROM projects RETURNING *)"
            " INSERT INTO job_bulk_items (action_id, run_id, project_id, job_type, run_created_at)"
            f" SELECT '{action_id}', id, project_id, job_type, created_at FROM failed RETURNING id::text"
        )
        ids = [id_ for [id_] in rows]
        self.refuse(owner, "job_bulk_items", "UPDATE", f"OLD.id = ANY ('{{{','.join(ids[:5])}}}')")
        return ids, "SELECT count(*) FROM job_runs WHERE rerun_of IS NOT NULL"

    def arrange_bulk_items_old(self, owner):
        [[action_id]] = self.bulk_actions(owner, str(uuid.uuid4()), "now() - interval '91 days'")
        rows = owner.run_script(
            "INSERT INTO job_bulk_items (action_id, run_id, project_id, job_type, run_created_at)"
            f" SELECT '{action_id}', gen_random_uuid(), gen_random_uuid(), 'x', now() FROM generate_series(1, 9)"
            " RETURNING id::text"
        )
        return self.five_refused(owner, "job_bulk_items", "id::text", [key for [key] in rows])

    def arrange_bulk_actions_old(self, owner):
        rows = self.bulk_actions(owner, str(uuid.uuid4()), "now() - interval '91 days'", count=9)
        return self.five_refused(owner, "job_bulk_actions", "id::text", [key for [key] in rows])

    @staticmethod
    def bulk_actions(owner, team_id, at, *, count=1):
        ended = "NULL" if at == "now()" else at
        return owner.run_script(
            "INSERT INTO job_bulk_actions"
            " (team_id, action, asked, created_by, created_at, confirmed_by, confirmed_at, ended_at)"
            f" SELECT '{team_id}', 'rerun', '{{}}', 'x', {at}, 'x', {at}, {ended} FROM generate_series(1, {count})"
            " RETURNING id::text"
        )

    @staticmethod
    def five_refused(owner, table, key, keys):
        """Let the table refuse to delete the first five of these rows."""
        condition = f"OLD.{key} = ANY ('{{{','.join(keys[:5])}}}')"
        owner.run_script(REFUSE.format(table=table, event="DELETE", condition=condition))
        return keys, f"SELECT 9 - count(*) FROM {table}"

    KINDS = (
        "keys",
        "expired",
        "overlong",
        "unclaimed",
        "unsent",
        "untold",
        "moved",
        "deleted",
        "old_runs",
        "old_alerts",
        "old_slots",
        "team_slots",
        "old_team_slots",
        "old_team_schedules",
        "old_audit_entries",
        "alerts_of_runs",
        "alerts_overdue",
        "alerts_due",
        "alerts_paused",
        "alerts_delivered",
        "alerts_gone",
        "old_days",
        "logs",
        "old_sign_ins",
        "old_sign_in_shares",
        "old_sessions",
        "bulk_items",
        "bulk_items_old",
        "bulk_actions_old",
    )

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_row_costs_itself_alone(self, small, db, owner, kind, monkeypatch, caplog):
        monkeypatch.setattr("nightshift.healing.healers.PRUNE_BATCH", 3)
        keys, healed = getattr(self, f"arrange_{kind}")(owner)
        counts = sweep(db=db, settings=small)
        assert owner.run_script(healed) == [[4]]
        assert counts["set_aside"] == 5
        aside = owner.run_script("SELECT healer, key, attempts, error FROM job_set_aside ORDER BY key")
        assert [row[:3] for row in aside] == [[kind, key, 1] for key in sorted(keys[:5])]
        [[alert]] = owner.run_script("SELECT content FROM job_outbox WHERE content ? 'subject'")
        assert alert["subject"] == "The sweep could not heal 5 rows"
        for key in keys[:5]:
            assert any(key in line and aside[0][3] in line for line in alert["lines"])
            assert any(key in record.message for record in caplog.records)
        # A minute later no row is tried, reported or logged again.
        assert sweep(db=db, settings=small)["set_aside"] == 0
        assert owner.run_script("SELECT count(*) FROM job_outbox WHERE content ? 'subject'") == [[1]]

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_row_is_healed_once_its_cause_is_mended(self, small, db, owner, kind, monkeypatch):
        monkeypatch.setattr("nightshift.healing.healers.PRUNE_BATCH", 3)
        _, healed = getattr(self, f"arrange_{kind}")(owner)
        sweep(db=db, settings=small)
        for table in TABLES:
            owner.run_script(f"DROP TRIGGER IF EXISTS refuse ON {table}")
        owner.run_script("DROP TABLE IF EXISTS reports; UPDATE job_set_aside SET retry_at = clock_timestamp()")
        assert sweep(db=db, settings=small)["set_aside"] == 0
        assert owner.run_script(healed) == [[9]]
        assert owner.run_script("SELECT * FROM job_set_aside") == []

    def test_every_healer_that_takes_rows_is_tested_with_a_bad_one(self, cloud, db):
        names = {healer.name for healer in healers_of(now=datetime.now(UTC), counts={}, db=db, settings=cloud)}
        assert names == {*self.KINDS, "slots", "silent"} == TROUBLES.keys()

    def test_a_row_that_takes_all_the_time_there_is_costs_itself_alone(self, cloud, db, owner, monkeypatch):
        """A batch with it reaches the server's time limit, and then no time is left for its rows one by one.

        The limit's error comes at once: with a short limit, a busy machine would reach it elsewhere as well.
        """
        ids = lost(owner, 5)
        owner.run_script(
            "CREATE FUNCTION take_long() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN IF OLD.id = '{ids[1]}' THEN RAISE 'canceling statement due to statement timeout'"
            " USING ERRCODE = 'query_canceled'; END IF; RETURN NEW; END $$;"
            "CREATE TRIGGER take_long BEFORE UPDATE ON job_runs FOR EACH ROW EXECUTE FUNCTION take_long()"
        )
        for _ in range(3):
            left, query = [50], db.query

            def counting(name, query=query, left=left, **params):
                try:
                    return query(name, **params)
                except DatabaseBusy:
                    left[0] -= 30
                    raise

            with monkeypatch.context() as patch:
                patch.setattr(db, "query", counting)
                sweep(db=db, settings=cloud, remaining_s=lambda left=left: left[0])
        assert [run_row(owner, run_id)["slice"] for run_id in ids] == [1, 0, 1, 1, 1]
        assert owner.run_script("SELECT key FROM job_set_aside WHERE key <> ''") == [[ids[1]]]

    def test_a_row_that_ends_the_session_costs_itself_alone(self, cloud, db, owner):
        ids = lost(owner, 3)
        owner.run_script(
            "CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN IF OLD.id = '{ids[0]}' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;"
            " RETURN NEW; END $$;"
            "CREATE TRIGGER hang_up BEFORE UPDATE ON job_runs FOR EACH ROW EXECUTE FUNCTION hang_up()"
        )
        sweep(db=db, settings=cloud)
        assert [run_row(owner, run_id)["slice"] for run_id in ids] == [0, 1, 1]
        assert owner.run_script("SELECT key FROM job_set_aside") == [[ids[0]]]

    def test_one_bad_schedule_costs_itself_alone(self, cloud, db, owner):
        owner.run_script(
            "INSERT INTO job_schedules SELECT job_type, cron, '2026-01-01Z', now() - interval '1 h' FROM (VALUES"
            " ('db_pruning', 'not a cron'), ('partition_creation', '* * * * *')) AS bad (job_type, cron)"
        )
        assert sweep(db=db, settings=cloud)["caught_up"] == 1
        assert owner.run_script("SELECT healer, key FROM job_set_aside") == [["slots", "db_pruning"]]

    def test_one_success_that_cannot_be_expected_costs_itself_alone(self, cloud, db, owner):
        owner.run_script(
            "INSERT INTO job_successes (job_type, expected_within, overdue_at) VALUES"
            " ('db_pruning', '293000 years', '2026-01-01Z'), ('partition_creation', '1 h', '2026-01-02Z')"
        )
        assert sweep(db=db, settings=cloud)["silent"] == 1
        assert owner.run_script("SELECT healer, key FROM job_set_aside") == [["silent", "db_pruning"]]

    def test_it_is_tried_again_later_and_later_up_to_ten_minutes(self, cloud, db, owner):
        [run_id] = lost(owner, 1)
        poison_runs(owner, [run_id])
        waits = []
        for _ in range(6):
            sweep(db=db, settings=cloud)
            [[wait]] = owner.run_script("SELECT round(extract(epoch FROM retry_at - now())) FROM job_set_aside")
            waits.append(int(wait))
            owner.run_script("UPDATE job_set_aside SET retry_at = clock_timestamp()")
        assert waits == [60, 120, 240, 480, 600, 600]

    def test_a_common_cause_is_one_mail_an_hour(self, cloud, db, owner):
        ids = lost(owner, 30)
        poison_runs(owner, ids)
        small = dataclasses.replace(cloud, sweep_batch=30)
        sweep(db=db, settings=small)
        [[alert]] = owner.run_script("SELECT content FROM job_outbox")
        assert len(alert["lines"]) == MAX_NAMED + 2
        assert alert["lines"][MAX_NAMED] == "And 20 more."
        owner.run_script("DELETE FROM job_outbox")
        owner.run_script("DROP FUNCTION refuse_job_runs CASCADE; UPDATE job_runs SET job_type = 'other ' || job_type")
        ids = lost(owner, 2)
        poison_runs(owner, ids)
        sweep(db=db, settings=small)
        assert owner.run_script("SELECT * FROM job_outbox") == []
        owner.run_script("UPDATE job_set_aside SET told_at = told_at - interval '61 min'")
        sweep(db=db, settings=small)
        [[alert]] = owner.run_script("SELECT content FROM job_outbox")
        assert alert["subject"] == "The sweep could not heal 2 rows"

    def test_a_first_failure_for_a_passing_reason_is_not_told(self, cloud, db, owner):
        lost(owner, 1)
        owner.run_script(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'busy' USING ERRCODE = '40P01'; END $$;"
            "CREATE TRIGGER refuse BEFORE UPDATE ON job_runs FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        sweep(db=db, settings=cloud)
        assert owner.run_script("SELECT * FROM job_outbox") == []
        assert set_aside_check(db).ok
        owner.run_script("UPDATE job_set_aside SET retry_at = clock_timestamp()")
        sweep(db=db, settings=cloud)
        assert len(owner.run_script("SELECT * FROM job_outbox")) == 1
        assert not set_aside_check(db).ok


def set_aside_check(db):
    [look] = [check.look for check in checks_of_sweep(db) if check.name == "set aside"]
    return look()


ELSEWHERE = (
    *("job_outbox", "job_schedules", "job_schedule_slots", "job_successes", "job_pauses", "job_deployment"),
    *("job_set_aside", "job_sweep", "projects", "users"),
)


@pytest.mark.parametrize("table", ELSEWHERE)
def test_a_right_that_is_missing_elsewhere_keeps_no_run_from_being_recovered(cloud, connect, owner, table):
    [run_id] = lost(owner, 1)
    owner.run_script(f"REVOKE ALL ON {table} FROM {ROLES}")
    db = connect()
    with suppress(DatabaseError):
        sweep(db=db, settings=cloud)
    assert run_row(owner, run_id)["slice"] == 1
    assert [message["run_id"] for message in received(cloud)] == [run_id]


def test_a_row_that_cannot_be_noted_stands_in_no_others_way(cloud, db, owner):
    ids = lost(owner, 3)
    poison_runs(owner, ids[:1])
    owner.run_script(f"REVOKE INSERT ON job_set_aside FROM {ROLES}")
    for _ in range(2):
        sweep(db=db, settings=cloud)
    assert [run_row(owner, run_id)["slice"] for run_id in ids] == [0, 1, 1]


def test_an_untellable_run_is_not_pruned(cloud, db, owner):
    owner.run_script(
        "INSERT INTO job_runs (id, job_type, status, triggered_by, completed_at, untold) VALUES"
        " (gen_random_uuid(), 'x', 'cancelled', 'x', now() - interval '91 days', 'its event: no right');"
        f"UPDATE job_deployment SET wants_events = true; REVOKE INSERT ON job_outbox FROM {ROLES}"
    )
    with pytest.raises(DatabaseError):
        sweep(db=db, settings=cloud)  # the alert cannot be written either
    assert len(owner.run_script("SELECT * FROM job_runs")) == 1
