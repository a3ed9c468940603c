"""The time that the event tables' partitions of any origin cover, and the partitions that the job adds."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pg8000.exceptions import DatabaseError

from nightshift.database.partitions import EVENT_TABLES, by_month, find_gaps, merge, months
from nightshift.operator import doctor, health
from nightshift.operator.partition_checks import check_partitions
from nightshift.testing import assert_resumable
from nightshift_jobs.partition_creation import job

THIS = date.today().replace(day=1)
FIRST, *_, LAST = (datetime(month.year, month.month, 1, tzinfo=UTC) for month in months(THIS, ahead=4))
"""The job's horizon: this month and the three after it."""


@pytest.fixture
def bare(owner):
    """``events`` without partitions; the other two tables keep theirs."""
    owner.run_script(";".join(f"DROP TABLE {name}" for name in attached(owner)))
    return owner


@pytest.fixture
def run(job_run):
    """Work a new run of the job to its end and return its row."""
    return lambda: job_run("partition_creation").finish().row


def attached(owner, table="events"):
    """Return the partitions' bounds by name."""
    return dict(
        owner.run_script(
            "SELECT inhrelid::regclass::text, pg_get_expr(relpartbound, oid) FROM pg_inherits"
            f" JOIN pg_class ON oid = inhrelid WHERE inhparent = '{table}'::regclass ORDER BY 1"
        )
    )


def attach(owner, edges, *, table="events", prefix="own"):
    """Attach a partition between each two of these times."""
    owner.run_script(
        ";".join(
            f"CREATE TABLE {prefix}_{number} PARTITION OF {table} FOR VALUES FROM ('{since}') TO ('{until}')"
            for number, (since, until) in enumerate(pairwise(edges))
        )
    )


def gaps(owner, first=FIRST, last=LAST):
    rows = owner.query("event_gaps", first=first, last=last)
    return [(row["since"], row["until"]) for row in rows if row["event_table"] == "events"]


def insert(owner, *moments):
    """Insert an event at each of these times."""
    rows = ", ".join(f"(gen_random_uuid(), 'm', '{moment}')" for moment in moments)
    owner.run_script(f"INSERT INTO events (app_id, message, timestamp) VALUES {rows}")


def everywhere(first=FIRST, last=LAST):
    """Return times from the whole horizon: its edges, and every 7 hours."""
    moments = [first, last - timedelta(microseconds=1)]
    while moments[-1] > moments[0]:
        yield moments[0]
        moments[0] += timedelta(hours=7)
    yield moments[-1]


def midnights(zone, *, step):
    """Return local midnights around the horizon: of each first of a month, or of every ``step`` days."""
    here = ZoneInfo(zone)
    day = (THIS - timedelta(days=40)).replace(day=1)
    while day < LAST.date() + timedelta(days=40):
        yield datetime(day.year, day.month, day.day, tzinfo=here)
        day = (day + timedelta(days=31)).replace(day=1) if step == "month" else day + timedelta(days=step)


class TestArithmetic:
    MOMENTS = st.integers(0, 40).map(lambda days: FIRST + timedelta(days=days, hours=days * 5 % 24, microseconds=days))

    @given(st.sets(MOMENTS, max_size=10), st.data())
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_a_moment_is_in_a_gap_or_in_a_partition(self, bare, edges, data):
        spans = list(pairwise(sorted(edges)))
        kept = [span for span in spans if data.draw(st.booleans())]
        first, last = sorted(data.draw(st.lists(self.MOMENTS, min_size=2, max_size=2, unique=True)))
        bare.begin()
        for number, (since, until) in enumerate(kept):
            attach(bare, (since, until), prefix=f"p{number}")
        found = gaps(bare, first, last)
        bare.rollback()

        edge_moments = sorted(
            {*edges, first, last, first + timedelta(microseconds=1), last - timedelta(microseconds=1)}
        )
        for moment in edge_moments:
            if first <= moment < last:
                covered = any(since <= moment < until for since, until in kept)
                assert covered != any(since <= moment < until for since, until in found), moment
        assert all(first <= since < until <= last for since, until in found)
        # None is adjacent to the next: their number is minimal.
        assert all(until < following for (_, until), (following, _) in pairwise(found))

    SPANS = st.tuples(*2 * [st.datetimes(datetime(1999, 1, 1), datetime(2051, 1, 1), timezones=st.just(UTC))])

    @given(SPANS.map(sorted))
    def test_by_month_is_the_same_time_cut_at_the_first_of_each_month(self, span):
        since, until = span
        parts = list(by_month({"since": since, "until": until}))
        if since < until:
            assert (parts[0][0], parts[-1][1]) == (since, until)
        for (_, cut), (following, _) in pairwise(parts):
            assert cut == following == datetime(cut.year, cut.month, 1, tzinfo=UTC)
        for begin, end in parts:
            last = end - timedelta(microseconds=1)
            assert begin < end
            assert (begin.year, begin.month) == (last.year, last.month)
        merged = merge([{"since": begin, "until": end} for begin, end in parts])
        assert merged == ([{"since": since, "until": until}] if since < until else [])

    @pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
    @pytest.mark.parametrize("style", ["ISO, MDY", "SQL, DMY", "German, DMY", "Postgres, MDY"])
    def test_the_session_does_not_matter(self, bare, connect, zone, style):
        edges = [datetime(2030, 3, 5, 22, tzinfo=UTC), datetime(2030, 7, 4, 1, tzinfo=UTC)]
        attach(bare, edges)
        session = connect(user="nightshift_maintenance", timezone=zone, datestyle=style)
        query = (
            "SELECT extract(epoch FROM since)::bigint, extract(epoch FROM until)::bigint"
            " FROM event_gaps(to_timestamp(0), to_timestamp(4e9)) WHERE event_table = 'events' ORDER BY 1"
        )
        assert session.run_script(query) == [[0, edges[0].timestamp()], [edges[1].timestamp(), 4_000_000_000]]


LAYOUTS = {
    "months, Berlin": lambda: [*midnights("Europe/Berlin", step="month")],
    "months, Auckland": lambda: [*midnights("Pacific/Auckland", step="month")],
    "months, New York": lambda: [*midnights("America/New_York", step="month")],
    "months, Kolkata": lambda: [*midnights("Asia/Kolkata", step="month")],
    "months, Kathmandu": lambda: [*midnights("Asia/Kathmandu", step="month")],
    "weeks": lambda: [*midnights("UTC", step=7)],
    "days, Lord Howe": lambda: [*midnights("Australia/Lord_Howe", step=1)],
    "a quarter": lambda: [FIRST - timedelta(days=2), FIRST + timedelta(days=90)],
    "years": lambda: [datetime(THIS.year + n, 1, 1, tzinfo=UTC) for n in range(3)],
    "none": list,
}


@pytest.mark.parametrize("until", ["all of it", "this month", "the first ten days"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_the_platforms_own_partitions_leave_uncovered_is_made_and_nothing_else(run, bare, layout, until):
    end = {"all of it": LAST, "this month": FIRST + timedelta(days=32), "the first ten days": FIRST + timedelta(10)}
    edges = LAYOUTS[layout]()
    attach(bare, [edge for edge in edges if edge <= max(end[until], *edges[:2])] if edges else [])
    before, uncovered = attached(bare), gaps(bare)

    ended = run()

    assert ended["status"] == "completed", ended["error"]
    assert gaps(bare) == []
    after = attached(bare)
    assert {name: bounds for name, bounds in after.items() if name in before} == before
    assert sorted(ended["result"]["created"]) == sorted({*after} - {*before})
    assert len(ended["result"]["created"]) == sum(1 for gap in uncovered for _ in by_month(dict(zip(("since", "until"), gap, strict=True))))  # noqa: E501  # fmt: skip
    insert(bare, *everywhere())
    # No partition was created beyond the horizon.
    made = [name for name in after if name not in before]
    assert all(name[7:14] < f"{LAST:%Y_%m}" for name in made)
    assert run()["result"]["created"] == []


def test_holes_of_hours_and_of_a_microsecond_are_filled_and_named_by_where_they_begin(run, bare):
    hole, end = FIRST + timedelta(days=9, hours=22), FIRST + timedelta(days=9, hours=23, minutes=59, seconds=59)
    attach(bare, [FIRST, hole])
    attach(bare, [end, end + timedelta(days=3)], prefix="other")
    attach(bare, [end + timedelta(days=3, microseconds=1), LAST], prefix="third")

    created = run()["result"]["created"]

    month = f"events_{THIS:%Y_%m}"
    assert created == [f"{month}_from_10t220000", f"{month}_from_13t235959"]
    insert(bare, hole)
    insert(bare, end + timedelta(days=3))


def test_a_month_that_ends_early_at_local_midnight_is_made_whole(run, bare):
    """22:00 UTC is midnight in Berlin's summer, so the last two hours of the month had no partition."""
    attach(bare, [FIRST - timedelta(hours=2), months_later(1) - timedelta(hours=2)])
    with pytest.raises(DatabaseError):
        insert(bare, months_later(1) - timedelta(hours=1))
    last_day = (months_later(1) - timedelta(days=1)).day
    assert run()["result"]["created"][0] == f"events_{THIS:%Y_%m}_from_{last_day}t220000"
    insert(bare, months_later(1) - timedelta(hours=1))


def months_later(count):
    month = months(THIS, ahead=count)[-1]
    return datetime(month.year, month.month, 1, tzinfo=UTC)


class TestBounds:
    @pytest.mark.parametrize(
        ("bounds", "created"),
        [
            (f"FROM (MINVALUE) TO ('{LAST}')", 0),
            (f"FROM ('{FIRST}') TO (MAXVALUE)", 0),
            ("FROM (MINVALUE) TO (MAXVALUE)", 0),
            ("FROM ('-infinity') TO ('infinity')", 0),
            (f"FROM (MINVALUE) TO ('{months_later(1)}')", 3),
            ("FROM ('2001-01-01 00:00:00 BC') TO ('2001-01-01')", 4),
        ],
    )
    def test_open_ones_are_read(self, run, bare, bounds, created):
        bare.run_script(f"CREATE TABLE own PARTITION OF events FOR VALUES {bounds}")
        assert len(run()["result"]["created"]) == created
        assert gaps(bare) == []

    TABLE = "DROP TABLE events; CREATE TABLE events (app_id uuid, message text, {}) PARTITION BY {}; ALTER TABLE events OWNER TO nightshift_events"  # noqa: E501
    TWO_COLUMNS = ("timestamp timestamptz", "RANGE (timestamp, app_id)")
    KEYS = {
        "date": ("timestamp date NOT NULL", "RANGE (timestamp)"),
        "timestamp": ("timestamp timestamp", "RANGE (timestamp)"),
        "two columns": TWO_COLUMNS,
        "another name": ('timestamp timestamptz, "Made At" timestamptz DEFAULT now()', 'RANGE ("Made At")'),
    }

    @pytest.mark.parametrize("key", KEYS)
    def test_keys_that_are_of_time(self, run, owner, key):
        owner.run_script(self.TABLE.format(*self.KEYS[key]))
        if key == "two columns":
            since, until = FIRST + timedelta(days=3), FIRST + timedelta(days=4)
            owner.run_script(
                f"CREATE TABLE own PARTITION OF events FOR VALUES FROM ('{since}', MINVALUE) TO ('{until}', MINVALUE)"
            )

        made = run()["result"]["created"]

        assert len(made) == (5 if key == "two columns" else 4)
        assert gaps(owner) == []
        insert(owner, *everywhere())

    def test_bounds_in_a_second_column_are_not_taken_for_covered(self, run, owner):
        owner.run_script(self.TABLE.format(*self.TWO_COLUMNS))
        low, high = (f"{digit}0000000-0000-0000-0000-000000000000" for digit in "08")
        owner.run_script(
            f"CREATE TABLE half PARTITION OF events FOR VALUES FROM ('{FIRST}', '{low}') TO ('{FIRST}', '{high}')"
        )
        error = run()["error"]
        assert f"events has no partition from {FIRST:%Y-%m-%d} 00:00:00 to {months_later(1):%Y-%m-%d} 00:00:00" in error
        assert "would overlap partition" in error
        assert len(attached(owner)) == 4  # the past months

    @pytest.mark.parametrize(
        "by", ["LIST (app_id)", "HASH (app_id)", "RANGE (message)", "RANGE (date_trunc('day', timestamp, 'UTC'))"]
    )
    def test_keys_that_are_not_of_time_are_named_once_and_the_others_get_theirs(self, run, owner, by):
        owner.run_script(self.TABLE.format("timestamp timestamptz", by))
        owner.run_script(f"DROP TABLE metric_events_{THIS:%Y_%m}")
        error = run()["error"]
        assert error.startswith(
            f"events has no partition from {FIRST:%Y-%m-%d} 00:00:00 to {LAST:%Y-%m-%d} 00:00:00 (UTC): "
            f"events is partitioned by {by.split(' (')[0]} ("
        )
        assert error.count("is partitioned by") == 1
        assert f"metric_events_{THIS:%Y_%m}" in attached(owner, "metric_events")


class TestTrees:
    def test_partitions_of_partitions_count_by_what_they_hold(self, run, bare):
        """A year that is itself partitioned by month, with one month missing, covers only the others."""
        bare.run_script(
            f"CREATE TABLE years PARTITION OF events FOR VALUES FROM ('{FIRST}') TO ('{LAST}')"
            " PARTITION BY RANGE (timestamp)"
        )
        attach(bare, [FIRST, months_later(1)], table="years")
        attach(bare, [months_later(2), LAST], table="years", prefix="late")

        assert gaps(bare) == [(months_later(1), months_later(2))]
        error = run()["error"]
        assert f"from {months_later(1):%Y-%m-%d} 00:00:00 to {months_later(2):%Y-%m-%d} 00:00:00 (UTC)" in error
        assert 'would overlap partition "years"' in error

    @pytest.mark.parametrize("by", ["HASH (app_id)", "LIST (level)", "RANGE (message)"])
    def test_partitions_by_something_else_hold_all_that_their_parent_does(self, run, bare, by):
        bare.run_script(
            "ALTER TABLE events DROP CONSTRAINT events_pkey;"
            f"CREATE TABLE own PARTITION OF events FOR VALUES FROM ('{FIRST}') TO ('{LAST}') PARTITION BY {by}"
        )
        assert gaps(bare) == [(FIRST, LAST)]  # it has no partition yet
        bounds = {"HASH (app_id)": "FOR VALUES WITH (MODULUS 1, REMAINDER 0)"}.get(by, "DEFAULT")
        bare.run_script(f"CREATE TABLE part PARTITION OF own {bounds}")
        assert gaps(bare) == []
        assert run()["result"]["created"] == []

    def test_a_partition_in_another_schema_and_a_foreign_one_cover(self, run, bare):
        bare.run_script(
            "CREATE SCHEMA archive;"
            f"CREATE TABLE archive.a PARTITION OF events FOR VALUES FROM ('{FIRST}') TO ('{months_later(1)}');"
            "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER far FOREIGN DATA WRAPPER far;"
            "ALTER TABLE events DROP CONSTRAINT events_pkey;"
            f"CREATE FOREIGN TABLE b PARTITION OF events FOR VALUES FROM ('{months_later(1)}') TO ('{LAST}') SERVER far"
        )
        assert run()["result"]["created"] == []

    def test_one_that_is_being_detached_takes_no_rows_and_is_named(self, run, bare, connect):
        attach(bare, [FIRST, LAST])
        reader = connect(user="postgres")
        reader.run_script("BEGIN; SELECT count(*) FROM events")
        by_hand = connect(user="postgres", lock_timeout="20ms")
        with pytest.raises(Exception, match="lock timeout"):
            by_hand.run_script("ALTER TABLE events DETACH PARTITION own_0 CONCURRENTLY")
        reader.run_script("COMMIT")

        assert gaps(bare) == [(FIRST, LAST)]
        assert "own_0 is still being detached. Finish it: ALTER TABLE events DETACH PARTITION own_0 FINALIZE" in run()["error"]  # noqa: E501  # fmt: skip

        bare.run_script("ALTER TABLE events DETACH PARTITION own_0 FINALIZE")
        assert run()["result"]["created_in_all"] == 4


class TestDefault:
    def test_an_empty_one_is_no_reason_to_make_none(self, run, bare):
        bare.run_script("CREATE TABLE rest PARTITION OF events DEFAULT; ALTER TABLE rest OWNER TO nightshift_events")
        insert(bare, FIRST - timedelta(microseconds=1))
        insert(bare, LAST)
        assert run()["result"]["created_in_all"] == 4

    def test_rows_of_the_time_are_named_with_what_to_do_and_the_other_months_are_made(self, run, bare):
        bare.run_script("CREATE TABLE rest PARTITION OF events DEFAULT; ALTER TABLE rest OWNER TO nightshift_events")
        insert(bare, months_later(1))

        error = run()["error"]

        assert error.startswith(
            f"events has no partition from {months_later(1):%Y-%m-%d} 00:00:00 to {months_later(2):%Y-%m-%d} 00:00:00"
            f" (UTC): the default partition rest holds rows of that time. Move them into a table called"
            f" events_{months_later(1):%Y_%m}: it is attached then"
        )
        assert len(attached(bare)) == 4
        # The suggested statement works.
        half = f"events_{months_later(1):%Y_%m}"
        bare.run_script(
            f"CREATE TABLE {half} (LIKE events INCLUDING ALL); ALTER TABLE {half} OWNER TO nightshift_events;"
            f"WITH moved AS (DELETE FROM rest RETURNING *) INSERT INTO {half} SELECT * FROM moved"
        )
        assert run()["result"]["created"] == [half]
        assert bare.run_script(f"SELECT count(*) FROM {half}") == [[1]]


def test_killed_at_every_step_the_gaps_are_filled_the_same(job_run, bare):
    attach(bare, midnights("Europe/Berlin", step=20))
    bare.run_script("DROP TABLE own_2; DROP TABLE own_4")
    assert len(assert_resumable(job_run, "partition_creation", end=attached)) >= 2


def test_each_of_many_holes_gets_its_own(run, bare):
    edges = [FIRST + timedelta(hours=hours) for hours in range(0, 24 * 10, 6)]
    for number, span in enumerate(zip(edges[::2], edges[1::2], strict=True)):
        attach(bare, span, prefix=f"p{number}")
    result = run()["result"]
    assert result["created_in_all"] == 20 + 3
    assert gaps(bare) == []


def test_the_names_of_very_many_are_cut(run, bare, monkeypatch):
    monkeypatch.setattr(job, "SHOWN_CREATED", 2)
    result = run()["result"]
    assert (len(result["created"]), result["created_in_all"]) == (2, 4)


def test_very_many_refusals_are_cut_and_the_other_tables_get_theirs(run, bare, monkeypatch):
    monkeypatch.setattr(job, "MOST_REFUSED", 3)
    bare.run_script("CREATE TABLE rest PARTITION OF events DEFAULT; ALTER TABLE rest OWNER TO nightshift_events")
    attach(bare, [FIRST + timedelta(days=40), FIRST + timedelta(days=41)])
    insert(bare, FIRST, *(months_later(count) + timedelta(days=27) for count in (1, 2, 3)))
    insert(bare, months_later(1))
    bare.run_script(f"DROP TABLE funnel_events_{months_later(3):%Y_%m}")

    error = run()["error"]

    assert error.count("the default partition rest holds rows") == 3
    assert "; events has more gaps, which were not tried. Until" in error
    assert f"funnel_events_{months_later(3):%Y_%m}" in attached(bare, "funnel_events")


def test_all_tables_are_looked_at(owner):
    owner.run_script(";".join(f"DROP TABLE {table}_{THIS:%Y_%m}" for table in EVENT_TABLES))
    found = find_gaps(owner.query, first=THIS, last=THIS)
    assert [gap["event_table"] for gap in found] == [*EVENT_TABLES]
    assert {(gap["since"], gap["until"]) for gap in found} == {(FIRST, months_later(1))}


class TestChecks:
    """The checks of doctor and health, with their own role."""

    @pytest.fixture
    def said(self, db, cloud):
        def said():
            reports = (doctor.examine(db=db, settings=cloud), health.check_health(db=db, settings=cloud))
            [one, other] = [check for report in reports for check in report["checks"] if check["name"] == "partitions"]
            assert one == other
            return one

        return said

    def test_what_is_covered_by_whatever_partitions_is_green(self, bare, said):
        attach(bare, midnights("Europe/Berlin", step="month"))
        assert said()["ok"]

    def test_two_hours_of_a_month_to_come_are_red_and_named(self, bare, said):
        attach(bare, [FIRST, months_later(2) - timedelta(hours=2)])
        attach(bare, [months_later(2), LAST], prefix="late")
        night = months_later(2) - timedelta(hours=2)
        found = said()
        assert not found["ok"]
        assert found["says"] == f"missing: events from {night:%Y-%m-%d} 22:00:00 to {months_later(2):%Y-%m-%d} 00:00:00 (UTC)"  # noqa: E501  # fmt: skip
        assert found["do"].startswith("nightshift system trigger partition_creation")

    def test_the_whole_horizon_is_looked_at(self, bare, said, db, cloud):
        attach(bare, [FIRST, LAST])
        assert check_partitions(db, replace(cloud, partition_months_ahead=2)).ok
        further = check_partitions(db, replace(cloud, partition_months_ahead=5))
        assert further.says.startswith(f"missing: events from {LAST:%Y-%m-%d} 00:00:00 to ")
        bare.run_script("DROP TABLE own_0")
        assert not check_partitions(db, replace(cloud, partition_months_ahead=0)).ok

    def test_very_many_are_a_line(self, bare, said):
        assert said()["says"].count("(UTC)") == 1
        edges = [FIRST + timedelta(days=days) for days in range(0, 80, 2)]
        for number, span in enumerate(zip(edges[::2], edges[1::2], strict=True)):
            attach(bare, span, prefix=f"p{number}")
        assert said()["says"].endswith(" and 17 more")
