"""The job partition_creation through the executor, with its own role, on real tables."""

import itertools
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.base import settings as settings_module
from nightshift.database.partitions import EVENT_TABLES, months
from nightshift.testing import assert_resumable

THIS = date.today().replace(day=1)


@given(st.dates(date(1, 1, 1), date(9990, 12, 31)), st.integers(0, 36))
def test_months_follow_each_other_without_gap_or_repetition(first, ahead):
    found = months(first, ahead=ahead)

    assert found[0] == first.replace(day=1)
    assert len(found) == ahead + 1
    for month, following in itertools.pairwise(found):
        assert following == (month + timedelta(days=31)).replace(day=1)


@pytest.fixture
def run(job_run):
    """Work a new run of the job to its end and return its row."""
    return lambda: job_run("partition_creation").finish().row


def name(table, month):
    return f"{table}_{month:%Y_%m}"


def drop(owner, *names):
    for partition in names:
        owner.run_script(f"DROP TABLE {partition}")


def attached(owner):
    """Return partitions by name, as (owner, bounds)."""
    query = (
        "SELECT class.relname, class.relowner::regrole::text, pg_get_expr(class.relpartbound, class.oid)"
        " FROM pg_inherits JOIN pg_class class ON class.oid = inhrelid WHERE inhparent IN"
        " ('events'::regclass, 'metric_events'::regclass, 'funnel_events'::regclass) ORDER BY 1"
    )
    return {row[0]: tuple(row[1:]) for row in owner.run_script(query)}


def attached_to(owner, table):
    query = f"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = '{table}'::regclass ORDER BY 1"
    return [partition for (partition,) in owner.run_script(query)]


def event_at(table, timestamp):
    column = {"events": "message", "metric_events": "metric_slug, phase", "funnel_events": "step_name"}[table]
    values = ", ".join("'x'" for _ in column.split(","))
    return f"INSERT INTO {table} (app_id, {column}, \"timestamp\") VALUES (gen_random_uuid(), {values}, '{timestamp}')"


def make_half(owner, half):
    owner.run_script(
        f"CREATE TABLE {half} (LIKE events INCLUDING ALL); ALTER TABLE {half} OWNER TO nightshift_maintenance"
    )


def test_what_is_missing_is_made_and_twice_changes_nothing(run, owner):
    before = attached(owner)
    missing = [name("events", months(THIS, ahead=3)[2]), name("funnel_events", THIS)]
    drop(owner, *missing)

    first = run()

    assert first["status"] == "completed", first["error"]
    assert sorted(first["result"]["created"]) == sorted(missing)
    assert first["progress"] == {"processed": 2, "total": 2, "message": "2 partitions created"}
    assert attached(owner) == before
    constraints = "SELECT count(*) FROM pg_constraint WHERE conname LIKE '%_bounds'"
    assert owner.run_script(constraints) == [[0]]

    again = run()

    assert again["result"] == {
        "created": [],
        "created_in_all": 0,
        "covered_until": f"{months(THIS, ahead=4)[-1]}",
        "missing_tables": [],
    }
    assert attached(owner) == before


def test_the_job_may_detach_what_the_migration_made(owner):
    assert {rolename for rolename, _ in attached(owner).values()} == {"nightshift_events"}
    assert owner.run_script("SELECT pg_has_role('nightshift_maintenance', 'nightshift_events', 'USAGE')") == [[True]]


def test_the_setting_says_how_far_ahead(run, monkeypatch):
    monkeypatch.setenv("PARTITION_MONTHS_AHEAD", "5")
    settings_module.settings.cache_clear()

    made = run()["result"]["created"]

    assert made == [name(table, month) for month in months(THIS, ahead=5)[4:] for table in EVENT_TABLES]


@pytest.mark.parametrize(
    ("ahead", "sentence"),
    [("-1", "must be a whole number of 0 or more, got '-1'"), ("37", "must be from 0 to 36, got 37")],
)
def test_a_setting_beyond_reason_is_named(run, monkeypatch, ahead, sentence):
    monkeypatch.setenv("PARTITION_MONTHS_AHEAD", ahead)
    settings_module.settings.cache_clear()
    assert run()["error"] == f"PARTITION_MONTHS_AHEAD {sentence}"


def test_each_partition_is_a_step(job_run, owner):
    drop(owner, name("events", THIS), name("metric_events", THIS))

    run = job_run("partition_creation").work(remaining_s=1).work(remaining_s=1)

    assert run.row["progress"] == {"processed": 2, "total": 2, "message": "2 partitions created"}
    assert {name("events", THIS), name("metric_events", THIS)} <= {*attached(owner)}


def test_killed_at_every_step_it_comes_to_the_same(job_run, owner, monkeypatch):
    monkeypatch.setenv("PARTITION_MONTHS_AHEAD", "1")
    settings_module.settings.cache_clear()
    before = attached(owner)
    drop(owner, *before)
    made = {name(table, month) for table in EVENT_TABLES for month in months(THIS, ahead=1)}

    def end(owner):
        found = attached(owner)
        assert found == {partition: before[partition] for partition in made}
        return found

    assert len(assert_resumable(job_run, "partition_creation", end=end)) == len(made) == 6


def test_a_table_that_was_made_but_not_attached_is_finished_with_its_rows(run, owner):
    before, half = attached(owner), name("events", THIS)
    drop(owner, half)
    make_half(owner, half)
    owner.run_script(event_at("events", f"{THIS} 00:00:00+00").replace("INTO events", f"INTO {half}"))

    assert run()["result"]["created"] == [half]
    assert owner.run_script("SELECT count(*) FROM events") == [[1]]
    assert attached(owner) == before


def test_rows_that_do_not_belong_are_named_and_nothing_is_attached_or_lost(run, owner):
    half, other = name("events", THIS), name("metric_events", THIS)
    drop(owner, half, other)
    make_half(owner, half)
    for timestamp in (THIS, "2020-01-31 23:59:59+00", "2019-05-01 00:00:00+02"):
        owner.run_script(event_at("events", timestamp).replace("INTO events", f"INTO {half}"))

    ended = run()

    assert ended["status"] == "failed"
    assert ended["error"] == (
        f"events has no partition from {THIS} 00:00:00 to {months(THIS, ahead=1)[1]} 00:00:00 (UTC): "
        f"{half} holds 2 rows of another time, from 2019-04-30 22:00:00 to 2020-01-31 23:59:59."
        " Until this is fixed, events of that time have no partition."
    )
    assert half not in attached(owner)
    assert owner.run_script(f"SELECT count(*) FROM {half}") == [[3]]
    assert other in attached(owner)  # the other tables do not wait for it
    owner.run_script(f"DELETE FROM {half} WHERE \"timestamp\" < '{THIS}'")
    assert run()["result"]["created"] == [half]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("CREATE TABLE {half} (id int)", "{half} cannot be attached to events: column \"timestamp\" does not exist"),
        (
            "CREATE TABLE {half} (LIKE events); ALTER TABLE {half} ADD extra int",
            "{half} cannot be attached to events: table \"{half}\" contains column \"extra\" not found in parent",
        ),
        (
            "CREATE TABLE {half} (id uuid, \"timestamp\" bigint)",
            "{half} cannot be attached to events: cannot cast type bigint to timestamp",
        ),
        (
            "CREATE TABLE {half} (LIKE events INCLUDING ALL);"
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER t AFTER INSERT ON {half} REFERENCING NEW TABLE AS n FOR EACH ROW EXECUTE FUNCTION f()",
            "{half} cannot be attached to events: trigger \"t\" prevents table",
        ),
        (
            "CREATE UNLOGGED TABLE {half} (LIKE events INCLUDING ALL)",
            "{half} is not logged: a crash would empty it. ALTER TABLE public.{half} SET LOGGED",
        ),
    ],
    ids=["another table", "a column more", "numbers", "trigger", "unlogged"],
)  # fmt: skip
def test_what_cannot_be_attached_is_a_sentence_and_stays_as_it_is(run, owner, made, said):
    half = name("events", THIS)
    drop(owner, half)
    owner.run_script(made.format(half=half))
    owner.run_script(
        f"GRANT SELECT ON {half} TO nightshift_maintenance; ALTER TABLE {half} OWNER TO nightshift_maintenance"
    )

    error = run()["error"]

    time = f"events has no partition from {THIS} 00:00:00 to {months(THIS, ahead=1)[1]} 00:00:00 (UTC): "
    assert error.startswith(time + said.format(half=half)), error
    assert half not in attached(owner)
    assert len(attached(owner)) == 11  # the other tables do not wait for it
    constraints = f"SELECT count(*) FROM pg_constraint WHERE conrelid = '{half}'::regclass AND conname LIKE '%bounds'"
    assert owner.run_script(constraints) == [[0]]


def test_a_table_of_somebody_elses_is_a_sentence(run, owner):
    half = name("events", THIS)
    drop(owner, half)
    owner.run_script(f"CREATE TABLE {half} (LIKE events INCLUDING ALL)")
    assert f": {half} belongs to postgres. Give it away: ALTER TABLE public.{half} OWNER TO" in run()["error"]


@pytest.mark.parametrize(
    "taken",
    [
        "CREATE VIEW {name} AS SELECT 1",
        "CREATE SEQUENCE {name}",
        "CREATE TABLE other (id int) PARTITION BY RANGE (id); CREATE TABLE {name} PARTITION OF other DEFAULT",
        "CREATE TABLE {name} PARTITION OF events FOR VALUES FROM ('2001-01-15') TO ('2001-01-22')",  # the third week
    ],
    ids=["view", "sequence", "partition of another", "partition of another time"],
)
def test_a_name_that_is_taken_is_not_in_the_way(run, owner, taken):
    half = name("events", THIS)
    drop(owner, half)
    owner.run_script(taken.format(name=half))
    assert run()["result"]["created"] == [f"{half}_from_01t000000"]
    owner.run_script(event_at("events", THIS))


def test_two_names_that_are_taken_are_named(run, owner):
    half = name("events", THIS)
    drop(owner, half)
    owner.run_script(f"CREATE VIEW {half} AS SELECT 1; CREATE VIEW {half}_from_01t000000 AS SELECT 1")
    assert f": the names {half} and {half}_from_01t000000 are taken" in run()["error"]


def test_tables_that_are_not_there_are_named_and_the_others_are_made(run, owner):
    owner.run_script("DROP TABLE metric_events; DROP TABLE funnel_events; CREATE TABLE funnel_events (id int)")
    drop(owner, name("events", THIS))
    result = run()["result"]
    assert (result["created"], result["missing_tables"]) == (
        [name("events", THIS)],
        ["metric_events", "funnel_events"],
    )


def test_where_no_table_can_have_partitions_the_run_fails(run, owner):
    owner.run_script("DROP TABLE events, metric_events, funnel_events; CREATE TABLE events (id int)")
    assert run()["error"] == (
        "No partitioned table is called events, metric_events or funnel_events. If the platform keeps no "
        "events, deploy with Schedules=partition_creation=never."
    )


def test_a_missing_right_is_named(run, owner):
    drop(owner, name("events", THIS))
    owner.run_script("REVOKE CREATE ON SCHEMA public FROM nightshift_events, PUBLIC")
    assert "cannot be attached to events: permission denied for schema public" in run()["error"]


def test_rows_hidden_by_row_level_security_are_no_proof_that_there_are_none(run, owner):
    half = name("events", THIS)
    drop(owner, half)
    make_half(owner, half)
    owner.run_script(event_at("events", "2020-01-31").replace("INTO events", f"INTO {half}"))
    owner.run_script(f"ALTER TABLE {half} ENABLE ROW LEVEL SECURITY; ALTER TABLE {half} FORCE ROW LEVEL SECURITY")
    refused = f"{half} cannot be attached to events: query would be affected by row-level security policy"
    assert refused in run()["error"]
    assert half not in attached(owner)


@pytest.mark.parametrize(
    "hide",
    [
        "CREATE SCHEMA elsewhere; ALTER TABLE events SET SCHEMA elsewhere",
        "CREATE SCHEMA elsewhere; ALTER TABLE events SET SCHEMA elsewhere;"
        "ALTER ROLE nightshift_maintenance IN DATABASE {database} SET search_path = elsewhere, public",
    ],
    ids=["not searched", "not open"],
)
def test_a_table_out_of_sight_is_named_and_the_others_get_theirs(run, owner, hide):
    drop(owner, name("metric_events", THIS))
    owner.run_script(hide.format(database=owner._config.database_name))
    assert run()["error"].startswith("events is in the schema elsewhere, which is not in the search path of nightshift")
    assert name("metric_events", THIS) in attached_to(owner, "metric_events")


def test_who_reads_and_writes_the_table_is_in_nobodys_way(job_run, owner, connect):
    drop(owner, name("events", THIS))
    busy = connect(user="postgres")
    busy.run_script("BEGIN; SELECT * FROM events; " + event_at("events", months(THIS, ahead=1)[1]))

    made = job_run("partition_creation").work()

    assert made.result["created"] == [name("events", THIS)]
    busy.run_script("COMMIT")


def test_a_lock_that_others_hold_is_waited_for_outside_and_not_for_ever(job_run, owner, connect):
    drop(owner, name("events", THIS))
    holder = connect(user="postgres")
    holder.run_script("BEGIN; LOCK TABLE events IN SHARE UPDATE EXCLUSIVE MODE")
    run = job_run("partition_creation").work()
    assert run.slices == [[0, "waiting", "another session's lock on events"]]
    assert run.row["cursor"]["tries"] == 1

    drop_other = connect(user="postgres")
    drop_other.run_script(f"DROP TABLE {name('metric_events', THIS)}")

    run.finish()

    assert run.row["error"].startswith("events was locked by another session at each of 8 tries (canceling statement")
    # The other tables get their partitions nevertheless.
    assert name("metric_events", THIS) in attached(drop_other)
    holder.run_script("COMMIT")


def test_a_lock_that_is_let_go_costs_one_wait(job_run, owner, connect):
    drop(owner, name("events", THIS))
    holder = connect(user="postgres")
    holder.run_script("BEGIN; LOCK TABLE events IN SHARE UPDATE EXCLUSIVE MODE")
    run = job_run("partition_creation").work()
    holder.run_script("COMMIT")

    run.finish()

    assert run.result["created"] == [name("events", THIS)]
    assert [outcome for _, outcome, _ in run.slices] == ["waiting", "completed"]
