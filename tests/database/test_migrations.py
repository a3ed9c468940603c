import dataclasses
import threading
from datetime import date

import pytest

from nightshift.database import migrations, queries
from nightshift.database.migrations import MigrationChanged, MigrationFailed, create_first_partitions, migrate
from nightshift.database.queries import Database
from tests.support.stack_world import until


@pytest.fixture
def empty(superuser: Database, connect, config) -> Database:
    """Yield a database without tables, and the test's own migrations in a folder."""
    superuser.run_script(f"CREATE DATABASE {config.database_name}_empty")
    db = Database(dataclasses.replace(config, database_name=f"{config.database_name}_empty", database_user="postgres"))
    yield db
    db.close()
    superuser.run_script(f"DROP DATABASE {config.database_name}_empty")


def test_everything_applies_once_and_repeats_harmlessly(empty):
    applied = migrate(empty)

    assert applied[0] == "platform/0001_platform"
    assert "jobs/0001_runs" in applied
    assert migrate(empty) == []


def test_the_first_partitions_cover_this_month_and_the_next_three(empty):
    migrate(empty)

    made = create_first_partitions(empty, today=date(2026, 11, 30))

    assert [name for name in made if name.startswith("events_")] == [
        "events_2026_11", "events_2026_12", "events_2027_01", "events_2027_02",
    ]  # fmt: skip
    assert len(made) == 12
    assert create_first_partitions(empty, today=date(2026, 11, 30)) == []
    empty.run_script(
        "INSERT INTO events (app_id, message, \"timestamp\") VALUES (gen_random_uuid(), 'x', '2027-02-28 23:59:59Z')"
    )


def test_a_partition_that_was_made_but_not_attached_is_finished(empty):
    migrate(empty)
    empty.run_script(
        "CREATE TABLE events_2026_11 (LIKE events INCLUDING ALL);ALTER TABLE events_2026_11 OWNER TO nightshift_events"
    )

    assert "events_2026_11" in create_first_partitions(empty, today=date(2026, 11, 1), months_ahead=0)


def test_what_the_jobs_role_left_in_the_schema_does_not_run_with_the_owners_rights(empty, config):
    migrate(empty)
    name = f"{config.database_name}_empty"
    jobs = Database(dataclasses.replace(config, database_name=name, database_user="nightshift_maintenance"))
    # It matches its arguments better than the function in pg_catalog, which is otherwise searched first.
    jobs.run_script(
        "CREATE TABLE ran_as (role name); GRANT INSERT ON ran_as TO PUBLIC;"
        "CREATE FUNCTION format(text, text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO ran_as VALUES (current_user); RETURN pg_catalog.format($1, $2, $3); END $$;"
        "CREATE FUNCTION told() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO ran_as VALUES (current_user); END $$"
    )
    jobs.close()
    empty.run_script("CREATE EVENT TRIGGER told ON ddl_command_end EXECUTE FUNCTION told()")

    assert create_first_partitions(empty, today=date(2040, 1, 1), months_ahead=0) != []

    empty.run_script("DROP EVENT TRIGGER told")
    assert empty.run_script("SELECT DISTINCT role::text FROM ran_as") == [["nightshift_events"]]


def test_several_at_once_make_each_partition_once(empty, config):
    migrate(empty)
    here = dataclasses.replace(config, database_name=empty._config.database_name, database_user="postgres")
    made, errors = [], []

    def make():
        db = Database(here)
        try:
            made.extend(create_first_partitions(db, today=date(2031, 1, 1)))
        except Exception as exc:
            errors.append(exc)
        finally:
            db.close()

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(made) == sorted({*made})
    assert len(made) == 12


def test_a_platforms_own_partitions_and_tables_are_left_alone(empty):
    migrate(empty)
    empty.run_script(
        "CREATE TABLE events_y2040m01 PARTITION OF events FOR VALUES FROM ('2040-01-01+00') TO ('2040-02-01+00');"
        "DROP TABLE metric_events; DROP TABLE funnel_events; CREATE TABLE funnel_events (id int)"
    )
    assert create_first_partitions(empty, today=date(2040, 1, 1), months_ahead=1) == ["events_2040_02"]
    assert empty.run_script("SELECT to_regclass('events_2040_01')") == [[None]]


def test_a_migration_that_takes_too_long_is_ended_by_the_server(empty, tmp_path, monkeypatch):
    _migrations(tmp_path, monkeypatch, {"0001_slow.sql": "SELECT pg_sleep(60);"})
    monkeypatch.setattr(migrations, "TIME_LIMIT_S", 0.2)
    with pytest.raises(MigrationFailed, match=r"jobs/0001_slow failed: .*statement timeout"):
        migrate(empty)


@pytest.fixture
def reader(empty, tmp_path, monkeypatch) -> Database:
    """Hold ``events`` in a transaction. The next migration needs it exclusively and waits only briefly."""
    _migrations(tmp_path, monkeypatch, {"0001_a.sql": "CREATE TABLE events (id int);"})
    migrate(empty)
    _migrations(tmp_path, monkeypatch, {"0002_b.sql": "ALTER TABLE events ADD COLUMN b int;"})
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT_S", 0.3)
    monkeypatch.setattr(migrations, "LOCK_PAUSE_S", 0.1)
    db = empty.sibling()
    db.begin()
    db.run_script("SELECT FROM events")
    yield db
    db.close()


def test_writers_get_through_while_a_migration_waits_for_a_reader(empty, reader):
    applied = []
    migrator, writer = empty.sibling(), empty.sibling(statement_timeout="5000")
    migration = threading.Thread(target=lambda: applied.extend(migrate(migrator)))
    migration.start()
    waits = "SELECT count(*) FROM pg_locks WHERE relation = 'events'::regclass AND NOT granted"
    for _ in range(3):
        until(lambda: empty.run_script(waits) == [[1]])
        writer.run_script("INSERT INTO events VALUES (1)")
        assert applied == []

    reader.rollback()
    migration.join()
    assert applied == ["jobs/0002_b"]
    for db in (migrator, writer):
        db.close()


def test_a_migration_that_does_not_get_its_lock_says_so_in_time(empty, reader, monkeypatch):
    monkeypatch.setattr(migrations, "TIME_LIMIT_S", 0.4)
    with pytest.raises(MigrationFailed, match=r"jobs/0002_b failed: it could not get a lock within 0.4 s"):
        migrate(empty)
    reader.rollback()
    assert migrate(empty) == ["jobs/0002_b"]


def test_a_changed_migration_is_told_by_its_checksum(empty, tmp_path, monkeypatch):
    _migrations(tmp_path, monkeypatch, {"0001_a.sql": "CREATE TABLE a (id int);"})
    migrate(empty)
    _migrations(tmp_path, monkeypatch, {"0001_a.sql": "CREATE TABLE a (id bigint);"})

    with pytest.raises(MigrationChanged, match=r"jobs/0001_a was changed after it was applied"):
        migrate(empty)


def test_a_failing_migration_leaves_nothing_and_those_before_it_stay(empty, tmp_path, monkeypatch):
    files = {"0001_a.sql": "CREATE TABLE a (id int);", "0002_b.sql": "CREATE TABLE b (id int); SELECT 1/0;"}
    _migrations(tmp_path, monkeypatch, files)

    with pytest.raises(MigrationFailed, match=r"jobs/0002_b failed: division by zero"):
        migrate(empty)

    tables = empty.run_script("SELECT to_regclass('a')::text, to_regclass('b')::text")
    assert tables == [["a", None]]
    _migrations(tmp_path, monkeypatch, files | {"0002_b.sql": "CREATE TABLE b (id int);"})
    assert migrate(empty) == ["jobs/0002_b"]


def _migrations(folder, monkeypatch, files):
    (folder / "jobs").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "jobs" / name).write_text(text)
    all_queries = queries.sql_directory() / "queries"
    if not (folder / "queries").exists():
        (folder / "queries").symlink_to(all_queries)
    for module in (queries, migrations):
        monkeypatch.setattr(module, "sql_directory", lambda: folder)
