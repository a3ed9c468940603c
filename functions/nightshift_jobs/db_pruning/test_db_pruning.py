"""The job db_pruning through the executor, with its own role, on real tables of realistic size."""

import itertools
import threading
from dataclasses import replace
from datetime import date

import pytest

from nightshift.base import settings as settings_module
from nightshift.base.errors import DatabaseGone
from nightshift.database.migrations import create_first_partitions
from nightshift.database.partitions import EVENT_TABLES, months
from nightshift.database.queries import Database
from nightshift.database.session_pins import pin_session
from nightshift.runs import slices as slices_module
from nightshift.runs.handles import StepDatabase
from nightshift.testing.database_copy import copy_database
from nightshift_jobs.db_pruning import job
from tests.support.fixtures import settings_for

THIS = date.today().replace(day=1)
HISTORY = months(date(THIS.year - 1, THIS.month, 1), ahead=2)
OLDEST = f"events_{HISTORY[0]:%Y_%m}"
COLUMNS = {"events": "message", "metric_events": "metric_slug, phase", "funnel_events": "step_name"}
# About a megabyte a month. A database's own files (catalogues, pg_internal.init) vary by some 100 kB.
ROWS = 500
# More than those files, but less than a month.
SOME = 500_000
# Less than Postgres's own catalogues.
SMALL_GB = 0.001


@pytest.fixture(scope="module")
def filled(postgres, superuser, template):
    """Add three past months with rows to each table, and some rows to the current month."""
    copy_database(superuser, template, "filled")
    owner = Database(settings_for(postgres, "filled", user="postgres"))
    pin_session(owner)
    assert len(create_first_partitions(owner, today=HISTORY[0], months_ahead=2)) == 9
    for table, month in itertools.product(EVENT_TABLES, [*HISTORY, THIS]):
        fill(owner, table, month)
    owner.run_script("ANALYZE")
    owner.close()
    yield "filled"
    superuser.run_script("DROP DATABASE filled WITH (FORCE)")


@pytest.fixture
def source(request, template, filled):
    return filled if "history" in request.fixturenames else template


@pytest.fixture
def history(owner):
    """Return the partitions of this test's database, which has past months with rows."""
    return names(owner)


def fill(owner, table, month, rows=ROWS):
    columns = COLUMNS[table].split(",")
    values = ", ".join([f"repeat('x', {1800 // len(columns)})"] * len(columns))
    owner.run_script(
        f'INSERT INTO {table} (app_id, {COLUMNS[table]}, "timestamp")'
        f" SELECT gen_random_uuid(), {values}, timestamptz '{month} 00:00+00' + n * interval '1 minute'"
        f" FROM generate_series(1, {rows}) n"
    )


def names(owner):
    """Return attached partitions, and all other tables with a partition's name."""
    attached = (
        "SELECT inhrelid::regclass::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
        " WHERE relkind = 'r' AND NOT inhdetachpending ORDER BY 1"
    )
    return [name for (name,) in owner.run_script(attached)]


def exists(owner, name):
    return owner.run_script(f"SELECT to_regclass('{name}') IS NOT NULL") == [[True]]


def size_of(owner, *partitions):
    return sum(owner.run_script(f"SELECT pg_total_relation_size('{name}')")[0][0] for name in partitions)


def oldest_first(partitions):
    return sorted(partitions, key=lambda name: (name[-7:], EVENT_TABLES.index(name[:-8])))


def past(partitions):
    return [name for name in oldest_first(partitions) if name[-7:] < f"{THIS:%Y_%m}"]


@pytest.fixture
def limit(monkeypatch, environment, owner):
    """``limit(free=bytes)``: set the limit so that this much must be freed; ``limit(gb=…)``: set the limit itself."""

    def limit(*, free=None, gb=None):
        if free is not None:
            (size,) = owner.run_script("SELECT pg_database_size(current_database())")[0]
            gb = (size - free) / job.GB
        monkeypatch.setenv("MAX_DATABASE_SIZE_GB", repr(gb))
        settings_module.settings.cache_clear()

    return limit


@pytest.fixture
def pruning(job_run):
    """Create a run of the job."""
    return lambda: job_run("db_pruning")


@pytest.fixture
def run(pruning):
    """Work a new run of the job to its end and return its row."""
    return lambda **how: pruning().finish(**how).row


@pytest.fixture
def reader(connect):
    """Open a transaction that has read through the parent and stays open."""
    reader = connect(user="postgres")
    reader.run_script("BEGIN; SELECT count(*) FROM events")
    return reader


def test_the_oldest_go_until_the_limit_is_met_and_no_further(run, owner, history, limit):
    first_two = past(history)[:2]
    sizes = [size_of(owner, name) for name in first_two]
    limit(free=sizes[0] + sizes[1] // 2)

    ended = run()

    assert ended["status"] == "completed", ended["error"]
    assert first_two == [OLDEST, OLDEST.replace("events", "metric_events")]
    assert ended["result"] == {
        "dropped": [
            {"partition": name, "bytes": size, "about_rows": ROWS} for name, size in zip(first_two, sizes, strict=True)
        ],
        "bytes_freed": sum(sizes),
    }
    assert ended["progress"]["processed"] == ended["progress"]["total"]
    assert names(owner) == [name for name in history if name not in first_two]
    assert not any(exists(owner, name) for name in first_two)

    assert run()["result"] == {"dropped": [], "bytes_freed": 0}


def test_progress_is_bytes_and_never_goes_back(pruning, owner, history, limit):
    limit(free=size_of(owner, *past(history)[:3]) + 500_000)

    first = pruning().finish()

    assert len(first.result["dropped"]) == 4
    counts = [(step.processed, step.total) for step in first.checkpoints]
    assert counts == sorted(counts)
    assert all(0 <= processed <= total for processed, total in counts)
    assert counts[0][0] == 0
    assert counts[-1][0] == counts[-1][1]


def test_without_a_limit_it_says_so_and_does_nothing(run, owner, history, limit):
    limit(gb=0)
    assert run()["result"]["note"] == "MAX_DATABASE_SIZE_GB is 0: there is no limit"
    assert names(owner) == history


def test_only_the_current_month_left_fails_the_run_and_nothing_is_deleted(run, owner, limit):
    fill(owner, "events", THIS)
    before = names(owner)
    limit(free=1_000_000)

    error = run()["error"]

    over, capped = (int(number.replace(",", "")) for number in error.split(":")[0].split() if "," in number)
    assert over >= 1_000_000
    assert capped == int(settings_module.settings().max_database_size_gb * job.GB)
    assert "no past partition of events may be dropped" in error
    assert names(owner) == before
    assert owner.run_script("SELECT count(*) FROM events") == [[ROWS]]


def test_history_is_not_thrown_away_for_what_other_tables_take(run, owner, history, limit):
    limit(free=size_of(owner, *past(history)) + 1_000_000)

    assert "dropping all 9 past partitions of events would free" in run()["error"]
    assert names(owner) == history


def test_more_than_a_month_and_what_hangs_elsewhere_are_never_dropped(run, owner, history, limit):
    owner.run_script(
        "CREATE TABLE events_2001_01 (LIKE events);"  # not attached
        "CREATE TABLE ledger (id int, t timestamptz) PARTITION BY RANGE (t);"
        "CREATE TABLE events_2001_02 PARTITION OF ledger FOR VALUES FROM ('2001-02-01+00') TO ('2001-03-01+00');"
        "CREATE TABLE events_2001_03 PARTITION OF events FOR VALUES FROM ('2001-03-01+00') TO ('2001-03-15+00');"
        "CREATE TABLE events_2001_04 PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2001-01-01+00');"
        "CREATE TABLE events_2001_05 PARTITION OF events FOR VALUES FROM ('2001-05-01+02') TO ('2001-06-01+02');"
        "CREATE TABLE events_2001_06 PARTITION OF events FOR VALUES FROM ('2001-06-01+00') TO ('2001-08-01+00');"
        "CREATE TABLE events_2001_09 PARTITION OF events FOR VALUES FROM ('2001-09-01+00') TO ('2001-10-01+00')"
        ' PARTITION BY RANGE ("timestamp");'
        "CREATE TABLE old PARTITION OF events FOR VALUES FROM ('2001-10-01+00') TO ('2001-11-01+00');"
        "ALTER TABLE old OWNER TO nightshift_maintenance;"
        'ALTER TABLE old RENAME TO "events; DROP TABLE events_2001_01; --\'"'
    )
    for number in (1, 2, 3, 4, 5, 6, 9):
        owner.run_script(f"ALTER TABLE events_2001_0{number} OWNER TO nightshift_maintenance")
    strange = "events; DROP TABLE events_2001_01; --'"
    limit(free=size_of(owner, *past(history)[:8]) + 500_000)

    result = run()["result"]

    # Bounds decide, not names: these three cover at most a month, and are over.
    assert [gone["partition"] for gone in result["dropped"]][:3] == ["events_2001_03", "events_2001_05", strange]
    assert all(exists(owner, f"events_2001_0{number}") for number in (1, 2, 4, 6, 9))
    assert result["passed_over"] == [
        "events_2001_04 spans more than a month, and a month is the most that goes at once. Drop it by hand.",
        "events_2001_06 spans more than a month, and a month is the most that goes at once. Drop it by hand.",
        "events_2001_09 is partitioned itself. Drop it by hand.",
    ]


def test_a_partition_of_another_owner_is_named_and_the_next_one_goes(run, owner, history, limit):
    owner.run_script(f"ALTER TABLE {OLDEST} OWNER TO postgres")
    limit(free=SOME)
    assert [gone["partition"] for gone in run()["result"]["dropped"]] == past(history)[1:2]
    limit(gb=SMALL_GB)
    assert f"{OLDEST} belongs to postgres. Give it away: ALTER TABLE {OLDEST} OWNER TO" in run()["error"]


class TestPassedOver:
    """The result names tables that are older than dropped ones but stay, also if nothing is dropped."""

    OWN = {
        "holds older events and reaches into this month": "FOR VALUES FROM ('{second}') TO ('{next}')",
        "spans more than a month": "FOR VALUES FROM (MINVALUE) TO ('2001-02-01')",
        "is partitioned itself": "FOR VALUES FROM ('2001-01-01') TO ('2001-02-01') PARTITION BY LIST (step_name)",
        "is a foreign table": "FOR VALUES FROM ('2001-01-01') TO ('2001-02-01') SERVER far",
        "belongs to postgres": "FOR VALUES FROM ('2001-01-01') TO ('2001-02-01')",
    }

    @pytest.fixture
    def plant(self, owner):
        def plant(bounds):
            kind = "FOREIGN TABLE" if "SERVER" in bounds else "TABLE"
            bounds = bounds.format(second=HISTORY[1], next=months(THIS, ahead=1)[1])
            owner.run_script(
                "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER far FOREIGN DATA WRAPPER far;"
                f"ALTER TABLE funnel_events DROP CONSTRAINT funnel_events_pkey; DROP TABLE funnel_events_{THIS:%Y_%m};"
                f"CREATE {kind} own PARTITION OF funnel_events {bounds}"
            )

        return plant

    @pytest.mark.parametrize("why", OWN)
    def test_by_its_reason(self, run, owner, limit, plant, why):
        create_first_partitions(owner, today=HISTORY[0], months_ahead=2)
        for month in HISTORY[1:]:
            owner.run_script(f"DROP TABLE funnel_events_{month:%Y_%m}")
        plant(self.OWN[why])
        fill(owner, "events", HISTORY[2] if "reaches" in why else HISTORY[0])
        limit(free=SOME)

        result = run()["result"]

        expected = f"events_{HISTORY[2] if 'reaches' in why else HISTORY[0]:%Y_%m}"
        assert expected in [gone["partition"] for gone in result["dropped"]]
        assert [said for said in result["passed_over"] if said.startswith(f"own {why}")]
        assert exists(owner, "own")
        limit(gb=SMALL_GB)
        assert f"own {why}" in run()["error"]

    @pytest.mark.parametrize("hours", [-11, -1, 5.75, 10])
    def test_months_at_local_midnight_go_and_the_current_one_is_not_worth_a_word(self, run, owner, limit, hours):
        owner.run_script(";".join(f"DROP TABLE events_{month:%Y_%m}" for month in months(THIS, ahead=1)))
        edges = [f"{month} 00:00+00".replace(" ", "T") for month in months(HISTORY[0], ahead=13)]
        for number, (since, until) in enumerate(itertools.pairwise(edges)):
            shifted = [f"timestamptz '{edge}' + interval '{hours} hours'" for edge in (since, until)]
            owner.run_script(
                f"DO $$ BEGIN EXECUTE format('CREATE TABLE own_{number:02} PARTITION OF events FOR VALUES FROM (%L)"
                f" TO (%L)', {shifted[0]}, {shifted[1]}); END $$;"
                f"ALTER TABLE own_{number:02} OWNER TO nightshift_events"
            )
        fill(owner, "events", HISTORY[0].replace(day=3))
        limit(free=SOME)

        result = run()["result"]

        assert [gone["partition"] for gone in result["dropped"]] == ["own_00"]
        assert "passed_over" not in result

    def test_a_lock_on_one_table_costs_that_one_alone(self, run, owner, history, limit, connect):
        holder = connect(user="postgres")
        holder.run_script("BEGIN; LOCK TABLE events IN SHARE UPDATE EXCLUSIVE MODE")
        limit(free=SOME)

        result = run()["result"]

        assert [gone["partition"] for gone in result["dropped"]] == past(history)[1:2]
        assert result["passed_over"][0].startswith(f"{OLDEST} could not be detached from events in 16 tries")

    NOT_IT = {
        "drop": ("sql_drop", "EXISTS (SELECT FROM pg_event_trigger_dropped_objects() WHERE object_name = '{it}')"),
        "detach": (
            "ddl_command_start",
            "(SELECT query LIKE '%DETACH PARTITION {it}%' FROM pg_stat_activity WHERE pid = pg_backend_pid())",
        ),
    }

    @pytest.mark.parametrize(
        ("step", "why"),
        [
            ("drop", f"{OLDEST} was put back into events: not this one."),
            ("detach", f"{OLDEST} cannot be detached from events: not this one."),
        ],
    )
    def test_one_that_postgres_refuses_costs_that_one_alone(self, run, owner, history, limit, step, why):
        event, condition = self.NOT_IT[step]
        owner.run_script(
            "CREATE FUNCTION keep() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF {condition.format(it=OLDEST)} THEN RAISE 'not this one'; END IF; END $$;"
            f"CREATE EVENT TRIGGER keep ON {event} EXECUTE FUNCTION keep()"
        )
        limit(free=SOME)

        result = run()["result"]

        assert [gone["partition"] for gone in result["dropped"]] == past(history)[1:2]
        assert result["passed_over"] == [why]
        assert OLDEST in names(owner)

    def test_its_columns_may_be_in_another_order(self, run, owner, limit):
        """A detached table is recognised by its CHECK on the key, whose column number differs here."""
        owner.run_script(
            f'CREATE TABLE {OLDEST} ("timestamp" timestamptz NOT NULL, message text NOT NULL, attributes jsonb,'
            " level text NOT NULL DEFAULT 'info', session_id uuid, user_id text, app_id uuid NOT NULL,"
            " id uuid NOT NULL DEFAULT gen_random_uuid());"
            f"ALTER TABLE events ATTACH PARTITION {OLDEST} FOR VALUES FROM ('{HISTORY[0]} 00:00+00') TO"
            f" ('{HISTORY[1]} 00:00+00'); ALTER TABLE {OLDEST} OWNER TO nightshift_events"
        )
        fill(owner, "events", HISTORY[0])
        limit(free=SOME)
        assert [gone["partition"] for gone in run()["result"]["dropped"]] == [OLDEST]


def test_a_default_partition_is_named(run, owner, history, limit):
    owner.run_script("CREATE TABLE rest PARTITION OF events DEFAULT")
    limit(free=SOME)
    assert [gone["partition"] for gone in run()["result"]["dropped"]] == past(history)[1:2]
    limit(gb=SMALL_GB)
    assert "events has the default partition rest, beside which Postgres detaches nothing" in run()["error"]


class TestReaders:
    def test_an_open_reader_is_waited_for_outside_and_then_it_is_finished(self, pruning, owner, history, limit, reader):
        limit(free=SOME)

        first = pruning().work()

        waiting = first.row
        assert first.slices == [[0, "waiting", f"open transactions that use {OLDEST} of events"]]
        assert waiting["cursor"]["current"]["name"] == OLDEST
        assert exists(owner, OLDEST)
        # A new query plans without the partition and does not wait.
        (count,) = owner.run_script("SET lock_timeout = '10ms'; SELECT count(*) FROM events; RESET lock_timeout")[0]
        assert count == 3 * ROWS
        fill(owner, "events", THIS, rows=1)
        assert reader.run_script("SELECT count(*) FROM events") == [[3 * ROWS + 1]]

        reader.run_script("COMMIT")
        ended = first.finish().row

        assert [gone["partition"] for gone in ended["result"]["dropped"]] == [OLDEST]
        assert not exists(owner, OLDEST)

    def test_one_that_never_ends_fails_the_run_and_the_next_run_finishes_it(
        self, run, owner, history, limit, reader, monkeypatch
    ):
        monkeypatch.setattr(job, "LONGEST_PATIENCE_MS", 50)
        limit(free=SOME)

        failed = run()

        assert failed["error"].startswith(f"{OLDEST} could not be detached from events in 16 tries")
        reader.run_script("COMMIT")
        assert [gone["partition"] for gone in run()["result"]["dropped"]] == [OLDEST]
        assert run()["result"] == {"dropped": [], "bytes_freed": 0}

    def test_where_long_queries_overlap_without_end_it_ends_all_the_same(self, run, owner, history, limit, connect):
        over = threading.Event()

        def read(connection):
            while not over.is_set():
                connection.run_script("SELECT pg_sleep(0.3) FROM (SELECT FROM events LIMIT 1) one")

        threads = [threading.Thread(target=read, args=(connect(user="postgres"),)) for _ in range(3)]
        for thread in threads:
            thread.start()
            over.wait(0.1)
        limit(free=SOME)

        dropped = [gone["partition"] for gone in run()["result"]["dropped"]]

        over.set()
        for thread in threads:
            thread.join()
        assert dropped == [OLDEST]

    def test_a_run_cancelled_while_it_waits_is_finished_by_the_next(self, pruning, owner, history, limit, reader, run):
        limit(free=SOME)
        first = pruning().work()
        owner.query("cancel_run", run_id=first.id, requested_by="the owner")
        assert first.row["status"] == "cancelled"
        reader.run_script("COMMIT")
        limit(free=SOME)

        assert [gone["partition"] for gone in run()["result"]["dropped"]] == [OLDEST]

    def test_a_lock_on_the_partition_before_it_is_marked_is_waited_for(self, pruning, owner, history, limit, connect):
        holder = connect(user="postgres")
        holder.run_script(f"BEGIN; LOCK TABLE {OLDEST} IN SHARE UPDATE EXCLUSIVE MODE")
        limit(free=SOME)
        first = pruning().work()

        assert first.slices[0][1] == "waiting"
        assert OLDEST in names(owner)
        holder.run_script("COMMIT")
        # In the meantime a person detaches it to keep it, which frees no space.
        owner.run_script(f"ALTER TABLE events DETACH PARTITION {OLDEST}")

        ended = first.finish().row
        assert [gone["partition"] for gone in ended["result"]["dropped"]] == past(history)[1:2]
        assert exists(owner, OLDEST)

    def test_room_made_while_it_waits_is_seen_before_the_detach(self, pruning, owner, history, limit, connect):
        holder = connect(user="postgres")
        holder.run_script("BEGIN; LOCK TABLE events IN SHARE UPDATE EXCLUSIVE MODE")
        limit(free=SOME)
        first = pruning().work()
        holder.run_script("COMMIT")
        limit(gb=1000)

        ended = first.finish().row

        assert ended["result"] == {"dropped": [], "bytes_freed": 0}
        assert names(owner) == history

    @pytest.mark.parametrize("gb", [1000, 0], ids=["raised", "switched off"])
    def test_a_limit_lifted_while_it_detaches_puts_the_partition_back(
        self, pruning, owner, history, limit, reader, run, gb
    ):
        limit(free=SOME)
        first = pruning().work()
        limit(gb=gb)
        bounds = f"SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = '{OLDEST}'"
        before = owner.run_script(bounds)
        reader.run_script("COMMIT")

        ended = first.finish().row

        assert (ended["result"]["dropped"], ended["cursor"]["current"]) == ([], None)
        assert names(owner) == history
        assert owner.run_script(bounds) == before
        assert owner.run_script("SELECT count(*) FROM events") == [[4 * ROWS]]
        limit(free=SOME)
        assert [gone["partition"] for gone in run()["result"]["dropped"]] == [OLDEST]

    def test_a_reader_of_the_detached_table_delays_the_drop_alone(
        self, pruning, owner, history, limit, connect, monkeypatch
    ):
        holder = connect(user="postgres")
        real = StepDatabase.write

        def write(self, query, /, **params):
            if query == "drop_detached_partition" and not holder.in_transaction:
                holder.begin()
                holder.run_script(f"SELECT count(*) FROM {OLDEST}")
            return real(self, query, **params)

        limit(free=SOME)
        first = pruning()
        with monkeypatch.context() as patch:
            patch.setattr(StepDatabase, "write", write)
            first.work()
        assert first.row["waiting_for"] == f"open transactions that use {OLDEST} of events"
        assert (OLDEST in names(owner), exists(owner, OLDEST)) == (False, True)
        holder.commit()

        assert [gone["partition"] for gone in first.finish().result["dropped"]] == [OLDEST]


class TestWhatNeedsThePartition:
    """Such a partition could be detached but not dropped, so its table would lose months without freeing space."""

    NEEDS = {
        "view": "CREATE VIEW needs AS SELECT * FROM {it}",
        "materialized view": "CREATE MATERIALIZED VIEW needs AS SELECT * FROM {it}",
        "function on its rows": "CREATE FUNCTION needs() RETURNS SETOF {it} LANGUAGE sql AS 'SELECT * FROM {it}'",
        "column of its rows": "CREATE TABLE needs (them {it}[])",
        "foreign key": 'CREATE TABLE needs (id uuid, ts timestamptz, FOREIGN KEY (id, ts) REFERENCES {it} (id, "timestamp"))',  # noqa: E501
        "policy of another table": "CREATE TABLE needs (id uuid); CREATE POLICY p ON needs USING (id IN (SELECT id FROM {it}))",  # noqa: E501
    }

    @pytest.mark.parametrize("need", NEEDS)
    def test_it_is_named_and_stays_and_the_next_one_goes(self, run, owner, history, limit, need):
        owner.run_script(self.NEEDS[need].format(it=OLDEST))
        limit(free=SOME)
        assert [gone["partition"] for gone in run()["result"]["dropped"]] == past(history)[1:2]
        limit(gb=SMALL_GB)
        error = run()["error"]
        assert "needs" in error
        assert f" needs {OLDEST}. Drop or change it." in error
        assert OLDEST in names(owner)

    def test_what_is_part_of_the_table_or_goes_with_it_is_in_nobodys_way(self, run, owner, history, limit):
        owner.run_script(
            f"CREATE PUBLICATION told FOR TABLE {OLDEST}; CREATE INDEX ON {OLDEST} (lower(message));"
            f"CREATE POLICY own ON {OLDEST} USING (level <> '' AND message <> ''); CREATE STATISTICS ON app_id, level FROM {OLDEST};"  # noqa: E501
            f"ALTER TABLE {OLDEST} ADD CHECK (message <> ''), ADD FOREIGN KEY (app_id) REFERENCES apps NOT VALID;"
            f"CREATE RULE quiet AS ON UPDATE TO {OLDEST} WHERE OLD.message = '' DO INSTEAD NOTHING"
        )
        limit(free=SOME)
        assert [gone["partition"] for gone in run()["result"]["dropped"]] == [OLDEST]

    def test_a_foreign_key_to_the_table_is_named_and_the_other_tables_go(self, run, owner, history, limit):
        owner.run_script(
            'CREATE TABLE notes (id uuid, ts timestamptz, FOREIGN KEY (id, ts) REFERENCES events (id, "timestamp"))'
        )
        limit(free=SOME)
        assert [gone["partition"] for gone in run()["result"]["dropped"]] == past(history)[1:2]
        limit(gb=SMALL_GB)
        assert "notes refers to events (notes_id_ts_fkey), so Postgres detaches" in run()["error"]

    def test_a_view_made_while_it_is_detached_brings_it_back(self, run, owner, history, limit, monkeypatch):
        real = StepDatabase.write

        def write(self, query, /, **params):
            if query == "drop_detached_partition":
                owner.run_script(f"CREATE OR REPLACE VIEW needs AS SELECT * FROM {OLDEST}")
            return real(self, query, **params)

        monkeypatch.setattr(StepDatabase, "write", write)
        limit(free=SOME)

        ended = run(remaining_s=1)

        assert [gone["partition"] for gone in ended["result"]["dropped"]] == past(history)[1:2]
        assert ended["result"]["passed_over"] == [
            f"{OLDEST} was put back into events: cannot drop table {OLDEST} because other objects depend on it: "
            f"view needs depends on table {OLDEST}."
        ]
        assert OLDEST in names(owner)

    def test_a_warning_of_very_many_fits_into_the_result(self, run, owner, history, limit, monkeypatch):
        monkeypatch.setattr(job, "MAX_BLOCKED", 2)
        for number, name in enumerate(past(history)):
            owner.run_script(f"CREATE VIEW needs_{number} AS SELECT * FROM {name}")
        limit(free=SOME)
        error = run()["error"]
        assert error.count("Drop or change it.") == 2
        assert error.endswith("And 7 more.")
        assert names(owner) == history


@pytest.mark.parametrize(
    ("gb", "sentence"),
    [
        ("nan", "must be a number of 0 or more, got 'nan'"),
        ("inf", "must be a number of 0 or more, got 'inf'"),
        ("-5", "must be a number of 0 or more, got '-5.0'"),
        ("1e300", "must be from 0 (no limit) to 1000000, got 1e+300"),
    ],
)
def test_a_limit_beyond_reason_is_named(run, owner, history, limit, gb, sentence):
    limit(gb=float(gb))
    assert run()["error"] == f"MAX_DATABASE_SIZE_GB {sentence}"
    assert names(owner) == history


def test_a_limit_of_less_than_a_byte_is_a_limit(run, owner, history, limit):
    limit(gb=1e-12)
    assert "over its limit of 1:" in run()["error"]


class TestIdentity:
    def detach(self, owner, name=OLDEST, table="events"):
        owner.run_script(f"ALTER TABLE {table} DETACH PARTITION {name}")

    def recorded(self, pruning, owner, limit):
        """Return a run that recorded the oldest partition and then ran out of time."""
        limit(free=SOME)
        first = pruning().work(remaining_s=1)
        assert first.row["cursor"]["current"]["name"] == OLDEST
        assert OLDEST in names(owner)
        return first

    def test_what_was_detached_and_is_in_no_cursor_is_never_dropped(self, run, owner, history, limit):
        self.detach(owner)
        limit(free=SOME)
        assert [gone["partition"] for gone in run()["result"]["dropped"]] == past(history)[1:2]
        assert exists(owner, OLDEST)

    def test_a_table_made_anew_under_the_recorded_name_is_another_table(self, pruning, owner, history, limit):
        first = self.recorded(pruning, owner, limit)
        self.detach(owner)
        owner.run_script(f"DROP TABLE {OLDEST}; CREATE TABLE {OLDEST} (LIKE events); ALTER TABLE {OLDEST} OWNER TO nightshift_maintenance")  # noqa: E501  # fmt: skip
        limit(free=SOME)

        dropped = [gone["partition"] for gone in first.finish().result["dropped"]]

        assert dropped == past(history)[1:2]
        assert exists(owner, OLDEST)

    def test_the_recorded_table_under_another_name_was_renamed_to_be_kept(self, pruning, owner, history, limit):
        first = self.recorded(pruning, owner, limit)
        self.detach(owner)
        owner.run_script(f"ALTER TABLE {OLDEST} RENAME TO kept")
        limit(free=SOME)
        assert [gone["partition"] for gone in first.finish().result["dropped"]] == past(history)[1:2]
        assert exists(owner, "kept")

    def test_what_an_earlier_run_only_meant_to_detach_is_not_the_next_runs(self, run, pruning, owner, history, limit):
        first = self.recorded(pruning, owner, limit)
        owner.query("cancel_run", run_id=first.id, requested_by="the owner")
        self.detach(owner)  # by a person, to keep it
        limit(free=SOME)
        assert [gone["partition"] for gone in run()["result"]["dropped"]] == past(history)[1:2]
        assert exists(owner, OLDEST)

    def test_what_is_detached_by_hand_once_it_is_recorded_is_kept(self, pruning, owner, history, limit):
        first = self.recorded(pruning, owner, limit)
        self.detach(owner)
        limit(free=SOME)
        ended = first.finish().row
        assert [gone["partition"] for gone in ended["result"]["dropped"]] == past(history)[1:2]
        assert exists(owner, OLDEST)

    def test_what_an_earlier_run_recorded_and_did_not_touch_is_decided_anew(self, run, pruning, owner, history, limit):
        first = self.recorded(pruning, owner, limit)
        owner.query("cancel_run", run_id=first.id, requested_by="the owner")
        limit(gb=1000)
        assert run()["result"] == {"dropped": [], "bytes_freed": 0}
        owner.run_script(f"ALTER TABLE events DETACH PARTITION {OLDEST} CONCURRENTLY")  # by a person, to keep it
        limit(free=SOME)
        assert [gone["partition"] for gone in run()["result"]["dropped"]] == past(history)[1:2]
        assert exists(owner, OLDEST)

    def test_what_was_renamed_to_be_kept_is_kept_when_it_has_its_name_again(
        self, run, pruning, owner, history, limit, reader
    ):
        limit(free=SOME)
        first = pruning().work()
        reader.run_script("COMMIT")
        owner.run_script(f"ALTER TABLE events DETACH PARTITION {OLDEST} FINALIZE; ALTER TABLE {OLDEST} RENAME TO kept")
        limit(gb=1000)
        assert first.finish().row["cursor"]["current"] is None
        owner.run_script(f"ALTER TABLE kept RENAME TO {OLDEST}")
        limit(free=SOME)
        assert [gone["partition"] for gone in run()["result"]["dropped"]] == past(history)[1:2]
        assert exists(owner, OLDEST)

    def test_what_was_recorded_days_ago_is_named_and_left(self, run, pruning, owner, history, limit, reader):
        limit(free=SOME)
        first = pruning().work()
        reader.run_script("COMMIT")
        owner.run_script(
            f"ALTER TABLE events DETACH PARTITION {OLDEST} FINALIZE; UPDATE job_runs"
            " SET cursor = jsonb_set(cursor, '{current,marked_at}', to_jsonb(now() - interval '26 hours'))"
        )
        assert f"{OLDEST} was to be detached from events more than a day ago" in first.finish().row["error"]
        assert exists(owner, OLDEST)
        limit(free=SOME)
        assert [gone["partition"] for gone in run()["result"]["dropped"]] == past(history)[1:2]

    def test_somebody_elses_pending_detach_is_named_and_left(self, run, owner, history, limit, reader, connect):
        by_hand = connect(user="postgres", lock_timeout="20ms")
        with pytest.raises(Exception, match="lock timeout"):
            by_hand.run_script(f"ALTER TABLE events DETACH PARTITION {OLDEST} CONCURRENTLY")
        reader.run_script("COMMIT")
        limit(gb=SMALL_GB)

        error = run()["error"]

        said = (
            f"Another session began to detach {OLDEST}. Finish it: ALTER TABLE events DETACH PARTITION {OLDEST} FINAL"
        )
        assert said in error
        limit(free=SOME)
        assert [gone["partition"] for gone in run()["result"]["dropped"]] == [past(history)[1]]
        assert exists(owner, OLDEST)


class TestDeath:
    BOUNDARIES = {
        "before the detach": ("run_alone", "before"),
        "after the detach": ("run_alone", "after"),
        "before the drop": ("write", "before"),
        "after the drop, before its commit": ("write", "after"),
        "before a yield commits": ("save", "before"),
        "after a yield committed": ("save", "after"),
    }

    @pytest.mark.parametrize("boundary", BOUNDARIES)
    def test_killed_there_for_every_partition_it_comes_to_the_same(
        self, pruning, owner, history, limit, monkeypatch, boundary
    ):
        method, moment = self.BOUNDARIES[boundary]
        struck = StepDatabase if method == "write" else slices_module.Slice
        real = getattr(struck, method)
        calls = itertools.count()

        def dying(self, *args, **params):
            dies = next(calls) % 2 == 0
            if dies and moment == "before":
                raise DatabaseGone("killed")
            result = real(self, *args, **params)
            if dies:
                raise DatabaseGone("killed")
            return result

        monkeypatch.setattr(struck, method, dying)
        expected = past(history)[:4]
        sizes = [size_of(owner, name) for name in expected]
        limit(free=sum(sizes) - sizes[-1] // 2)

        dropped = pruning().finish().result["dropped"]

        assert next(calls) >= 4
        assert [gone["partition"] for gone in dropped] == expected
        assert [gone["bytes"] for gone in dropped] == sizes
        assert names(owner) == [name for name in history if name not in expected]
        assert not any(exists(owner, name) for name in expected)

    def test_its_connection_killed_while_it_detaches(self, pruning, owner, history, limit, reader, connect):
        limit(free=SOME)
        first = pruning()
        killer = connect(user="postgres")
        killed = []

        def kill():
            while not killed:
                killed.extend(
                    killer.run_script(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND query LIKE 'ALTER TABLE events DETACH%'"
                        " AND state = 'active' AND wait_event_type = 'Lock'"
                    )
                )

        thread = threading.Thread(target=kill)
        thread.start()
        first.work()
        killed.append("or too late")
        thread.join()
        reader.run_script("COMMIT")

        assert [gone["partition"] for gone in first.finish().result["dropped"]] == [OLDEST]

    @pytest.mark.parametrize("gb", [None, 1000], ids=["still over", "within its limit"])
    @pytest.mark.parametrize("ending", ["cancelled", "failed"])
    def test_a_run_that_ends_between_the_detach_and_the_drop_is_finished_by_the_next(
        self, pruning, owner, history, limit, run, monkeypatch, ending, gb
    ):
        limit(free=SOME)
        first = pruning()

        def dying(self, query, /, **params):
            raise DatabaseGone("killed")

        with monkeypatch.context() as patch:
            patch.setattr(StepDatabase, "write", dying)
            first.work()
        assert (OLDEST in names(owner), exists(owner, OLDEST)) == (False, True)
        if ending == "cancelled":
            owner.query("cancel_run", run_id=first.id, requested_by="the owner")
            assert first.finish().row["status"] == "cancelled"
        else:
            owner.run_script(
                "UPDATE job_runs SET status = 'failed', error = 'e', completed_at = now(), started_at = now(),"
                " resend_at = NULL, lease_expires_at = NULL"
            )
        # Nor does it matter that another run fails before it starts to work.
        limit(gb=-1)
        assert run()["status"] == "failed"
        limit(free=None if gb else SOME, gb=gb)

        dropped = [gone["partition"] for gone in run()["result"]["dropped"]]

        assert dropped == ([] if gb else [OLDEST])
        assert exists(owner, OLDEST) == (OLDEST in names(owner)) == bool(gb)

    def test_a_worker_that_froze_before_the_detach_detaches_nothing(
        self, pruning, owner, history, limit, connect, monkeypatch
    ):
        """Promise 4: another worker took over the run and found that there is enough space again."""
        limit(free=SOME)
        first, real = pruning(), slices_module.Slice.run_alone

        def freezing(self, statement, *, patience_ms):
            if self.number == 0:
                limit(gb=1000)
                assert replace(first, db=connect()).finish().row["status"] == "completed"
            return real(self, statement, patience_ms=patience_ms)

        monkeypatch.setattr(slices_module.Slice, "run_alone", freezing)
        first.work()

        assert names(owner) == history
        assert [outcome for _, outcome, _ in first.slices] == ["lost", "completed"]

    def test_a_lease_that_is_almost_over_is_no_time_to_begin(self, pruning, owner, history, limit, monkeypatch):
        limit(free=SOME)
        first, real = pruning(), slices_module.Slice.run_alone

        def late(self, statement, *, patience_ms):
            if self.number == 0:
                owner.run_script("UPDATE job_runs SET lease_expires_at = clock_timestamp() + interval '3.5 s'")
            return real(self, statement, patience_ms=patience_ms)

        monkeypatch.setattr(slices_module.Slice, "run_alone", late)
        first.work()

        assert first.slices[0][1] == "waiting"
        assert names(owner) == history
        assert [gone["partition"] for gone in first.finish().result["dropped"]] == [OLDEST]

    def test_a_step_a_slice(self, run, owner, history, limit):
        expected = past(history)[:4]
        limit(free=size_of(owner, *expected) - size_of(owner, expected[-1]) // 2)
        assert [gone["partition"] for gone in run(remaining_s=1)["result"]["dropped"]] == expected


def test_a_cancel_is_seen_between_two_steps(pruning, owner, history, limit):
    limit(free=size_of(owner, *past(history)[:3]))
    first = pruning().work(remaining_s=1)
    first.work(remaining_s=1)
    owner.query("cancel_run", run_id=first.id, requested_by="the owner")
    assert first.row["status"] == "cancelled"
    assert names(owner) == [name for name in history if name != OLDEST]
