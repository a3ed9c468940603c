"""The job retention_cleanup through the executor, with the system jobs' role, on real events."""

import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from nightshift.database.migrations import create_first_partitions
from nightshift.database.queries import Database
from nightshift.database.session_pins import pin_session
from nightshift.runs.slices import MAX_RESULT_BYTES, Slice
from nightshift.tenants.projects import RETENTION_DAYS, days_of
from nightshift.testing import assert_resumable, make_team
from nightshift.testing.database_copy import copy_database
from nightshift.testing.rows import run_row
from nightshift_jobs.retention_cleanup import job as retention_job
from nightshift_jobs.retention_cleanup.retained import KIND_OF, SHOWN, SHOWN_PROJECTS, Retained, cutoff_of
from nightshift_jobs.soft_delete_cleanup.pace import FIRST_BATCH
from tests.support.fixtures import settings_for
from tests.support.plans import explained

NAME = "retention_cleanup"
OTHERS = {"events": "message", "metric_events": "metric_slug, phase", "funnel_events": "step_name"}


@pytest.fixture(scope="module")
def prepared(postgres, superuser, template):
    """Make partitions for two years and add the three columns of retention, which hold any text."""
    copy_database(superuser, template, "retention")
    owner = Database(settings_for(postgres, "retention", user="postgres"))
    pin_session(owner)
    create_first_partitions(owner, today=(datetime.now(UTC) - timedelta(days=730)).date(), months_ahead=25)
    owner.run_script(
        ";".join(f"ALTER TABLE projects ADD IF NOT EXISTS retention_days_{kind} text" for kind in KIND_OF.values())
    )
    owner.close()
    yield "retention"
    superuser.run_script("DROP DATABASE retention WITH (FORCE)")


@pytest.fixture
def source(prepared):
    return prepared


@dataclass
class App:
    id: str
    project: str


@pytest.fixture
def app(owner):
    team = make_team(owner)
    return App(make_app(owner, team.project_id), team.project_id)


def make_app(owner, project_id):
    app_id = str(uuid.uuid4())
    owner.run_script(f"INSERT INTO apps (id, project_id, name) VALUES ('{app_id}', '{project_id}', 'A')")
    return app_id


def add_events(owner, app_id, *days, table="events", count=1):
    """Add ``count`` events for each age in days."""
    columns = OTHERS[table]
    values = ", ".join("'x'" for _ in columns.split(","))
    owner.run_script(
        f'INSERT INTO {table} (app_id, "timestamp", {columns})'
        f" SELECT '{app_id}', clock_timestamp() - make_interval(secs => day * 86400), {values}"
        f" FROM unnest(ARRAY{[float(day) for day in days]}::float8[]) AS day, generate_series(1, {count})"
    )


def keep_for(owner, project_id, value, *, kind="events"):
    shown = "NULL" if value is None else f"'{value}'"
    owner.run_script(f"UPDATE projects SET retention_days_{kind} = {shown} WHERE id = '{project_id}'")


def ages(owner, table="events", app_id=None):
    """Return the ages in whole days of the events that are left, youngest first."""
    whose = f"WHERE app_id = '{app_id}'" if app_id else ""
    rows = owner.run_script(
        f"""SELECT floor(extract(epoch FROM clock_timestamp() - "timestamp") / 86400)::int FROM {table} {whose}
        ORDER BY "timestamp" DESC"""
    )
    return [age for (age,) in rows]


def audited(owner):
    rows = owner.run_script("SELECT project_id::text, event_table, reason, deleted FROM event_deletions")
    return {(project, table): deleted for project, table, reason, deleted in rows if reason == "retention"}


def counts(result):
    return {table: result[table] for table in KIND_OF}


def clean(job_run, **params):
    return job_run(NAME, params=params).work().result


@pytest.fixture
def at_step(monkeypatch):
    """``at_step(act)``: call ``act(n)`` after a step's n-th commit, from 1."""

    def at_step(act):
        real, taken = Slice.save, []

        def save(self, step):
            real(self, step)
            taken.append(step)
            act(len(taken))

        monkeypatch.setattr(Slice, "save", save)

    return at_step


# A model of what must remain.

VALUES = st.sampled_from(
    [None, "30", "1", "500", "120.00", "0", "-5", "for ever", "1e3", "NaN", "", "9" * 40, "999999999"]
)
AGES = st.sampled_from([0.5, 1.5, 29.9, 30.1, 119.9, 120.1, 364.9, 365.1, 499.0, 501.0, 600.0])


@dataclass
class Model:
    """What each project says and holds: ``events`` are (table, age) of its one app."""

    says: dict[str, str | None]
    events: list[tuple[str, float]]
    gone: str | None
    """The table in whose row it is soft-deleted."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    app: str = field(default_factory=lambda: str(uuid.uuid4()))

    def stays(self, table: str, age: float) -> bool:
        said = self.says[KIND_OF[table]]
        days = {"30": 30, "1": 1, "500": 500, "120.00": 120, "999999999": 999_999_999}.get(
            said, {"events": 120, "metric_events": 365, "funnel_events": 365}[table]
        )
        return self.gone is not None or age < days

    def plant(self, owner):
        team = str(uuid.uuid4())
        deleted = {name: "clock_timestamp()" if self.gone == name else "NULL" for name in ("teams", "projects", "apps")}
        columns = ", ".join(f"retention_days_{kind}" for kind in self.says)
        values = ", ".join("NULL" if value is None else f"'{value}'" for value in self.says.values())
        owner.run_script(
            f"INSERT INTO teams (id, name, slug, deleted_at) VALUES ('{team}', 'T', '{team}', {deleted['teams']});"
            f"INSERT INTO projects (id, team_id, name, slug, deleted_at, {columns})"
            f" VALUES ('{self.id}', '{team}', 'P', 'p', {deleted['projects']}, {values});"
            f"INSERT INTO apps (id, project_id, name, deleted_at)"
            f" VALUES ('{self.app}', '{self.id}', 'A', {deleted['apps']})"
        )
        for table, age in self.events:
            add_events(owner, self.app, age, table=table)


MODELS = st.lists(
    st.builds(
        Model,
        says=st.fixed_dictionaries({kind: VALUES for kind in KIND_OF.values()}),
        events=st.lists(st.tuples(st.sampled_from(list(KIND_OF)), AGES), max_size=6),
        gone=st.sampled_from([None, None, None, None, "teams", "projects", "apps"]),
    ),
    max_size=3,
)


@examples(derandomize=True, max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(models=MODELS)
def test_exactly_what_a_project_no_longer_keeps_is_deleted_and_a_dry_run_says_so_before(job_run, owner, models):
    emptied = (*KIND_OF, "event_deletions", "apps", "projects", "teams")
    owner.run_script(";".join(f"DELETE FROM {table}" for table in emptied))
    for model in models:
        model.plant(owner)

    would = clean(job_run, dry_run=True)
    assert {table: len(ages(owner, table)) for table in KIND_OF} == {
        table: sum(each == table for model in models for each, _ in model.events) for table in KIND_OF
    }
    assert audited(owner) == {}
    result = clean(job_run)

    gone = {}
    for model in models:
        for table in KIND_OF:
            of_table = sorted(age for each, age in model.events if each == table)
            left = [age for age in of_table if model.stays(table, age)]
            assert ages(owner, table, model.app) == [int(age) for age in left], (model, table)
            if len(left) < len(of_table):
                gone[(model.id, table)] = len(of_table) - len(left)
    assert audited(owner) == gone
    assert counts(result) == {table: sum(n for (_, t), n in gone.items() if t == table) for table in KIND_OF}
    assert {(each["project"], t): each[t] for each in result["projects"] for t in KIND_OF if t in each} == gone
    same = ("projects", "projects_in_all", "no_valid_number", "no_valid_number_in_all", *KIND_OF)
    assert {name: would[name] for name in same} == {name: result[name] for name in same}
    assert (would["dry_run"], result["dry_run"], result["left"]) == (True, False, [])
    assert not any(counts(clean(job_run)).values())


@pytest.mark.parametrize(
    ("column", "stored", "days"),
    [
        *[("integer", "90", 90), ("bigint", "400", 400), ("smallint", "NULL", None), ("numeric(10, 2)", "30", 30)],
        *[("text", "'45'", 45), ("jsonb", "'30'", 30), ("real", "7", 7), ("numeric", "'NaN'", None)],
        *[("integer", "0", None), ("integer", "-1", None), ("text", "'٣٠'", None), ("interval", "'9 days'", None)],
        *[("boolean", "true", None), ("text", "'0000000000'", None), ("jsonb", "'[1]'", None), ("text", "'1 '", None)],
    ],
)
def test_a_column_of_any_type_counts_if_it_holds_a_whole_positive_number(job_run, owner, app, column, stored, days):
    owner.run_script(
        "ALTER TABLE projects DROP COLUMN retention_days_events;"
        f"ALTER TABLE projects ADD retention_days_events {column} DEFAULT {stored}"
    )
    kept = days or RETENTION_DAYS["events"]
    add_events(owner, app.id, kept - 0.5, kept + 0.5)
    result = clean(job_run)
    assert (result["events"], len(ages(owner))) == (1, 1)
    noted = [(each["project"], each["column"], each["used_days"]) for each in result["no_valid_number"]]
    assert noted == ([] if days or stored == "NULL" else [(app.project, "retention_days_events", 120)])


def test_a_platform_without_the_columns_has_the_defaults(job_run, owner, app):
    owner.run_script(";".join(f"ALTER TABLE projects DROP retention_days_{kind}" for kind in KIND_OF.values()))
    for table in KIND_OF:
        add_events(owner, app.id, 119, 121, 364, 366, table=table)
    result = clean(job_run)
    assert [ages(owner, table) for table in KIND_OF] == [[119], [119, 121, 364], [119, 121, 364]]
    assert (result["no_valid_number"], result["missing_tables"]) == ([], [])


@pytest.mark.parametrize("value", [0, -1, "", None, "x", "0.0", "1" * 10, "1.5", "+5", " 5", "5\n"])
def test_no_other_value_is_a_number_of_days(value):
    assert days_of(None if value is None else str(value)) is None


def test_a_number_beyond_all_dates_keeps_everything():
    now = "2026-11-23 02:00:00+00"
    assert cutoff_of(now, 999_999_999) == cutoff_of(now, 700_000) == datetime(110, 5, 12, 2, tzinfo=UTC)
    assert cutoff_of(now, 120) == datetime(2026, 7, 26, 2, tzinfo=UTC)


def test_an_event_exactly_as_old_as_its_project_keeps_it_stays(job_run, owner, app, monkeypatch):
    now = "2026-06-30 02:00:00.5+00"
    create_first_partitions(owner, today=date(2026, 2, 1), months_ahead=3)
    owner.run_script(
        'INSERT INTO events (app_id, "timestamp", message) SELECT'
        f" '{app.id}', '2026-03-02 02:00:00.5+00'::timestamptz + n * interval '1 microsecond', 'm'"
        " FROM generate_series(-1, 1) n"
    )
    begin = retention_job._begin

    def begin_then(db, *, is_dry):
        state = begin(db, is_dry=is_dry)
        state.now = now
        return state

    monkeypatch.setattr(retention_job, "_begin", begin_then)
    assert clean(job_run, dry_run=True)["events"] == 1
    assert clean(job_run)["events"] == 1
    kept = owner.run_script('SELECT extract(microsecond FROM "timestamp")::int FROM events ORDER BY 1')
    assert kept == [[500_000], [500_001]]
    ((cutoff,),) = owner.run_script("SELECT cutoff = '2026-03-02 02:00:00.5+00' FROM event_deletions")
    assert cutoff


def test_every_death_of_a_worker_leads_to_the_same_end(job_run, owner, app, monkeypatch):
    add_events(owner, app.id, 121, 200, 119)
    add_events(owner, make_app(owner, app.project), 400, 100, table="metric_events")
    assert_resumable(job_run, NAME, end=lambda owner: (ages(owner), ages(owner, "metric_events"), audited(owner)))


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_slice_at_a_time_is_the_same_and_the_bar_only_grows(job_run, owner, app, dry_run):
    add_events(owner, app.id, 130, 190, count=2 * FIRST_BATCH)
    for _ in range(3):
        add_events(owner, make_app(owner, app.project), 121)
    run = job_run(NAME, params={"dry_run": dry_run}).finish(remaining_s=1)
    assert run.result["events"] == 4 * FIRST_BATCH + 3
    assert len(run.slices) > 10
    bar = [(step.processed, step.total) for step in run.checkpoints]
    assert (bar, bar[-1]) == (sorted(bar), (4, 4))
    said = f"{'Would delete' if dry_run else 'Deleted'} 803 events; looked through 4 of 4 apps"
    assert run.checkpoints[-1].message == said
    assert len({step.cursor["now"] for step in run.checkpoints}) == 1


def test_a_cancelled_run_stops_at_its_step_and_what_it_deleted_is_audited(job_run, db, owner, app, at_step):
    add_events(owner, app.id, 200, count=5 * FIRST_BATCH)
    run = job_run(NAME)
    at_step(lambda n: n == 1 and db.query("cancel_run", run_id=run.id, requested_by="ada"))
    run.work()
    assert run_row(owner, run.id)["status"] == "cancelled"
    left = len(ages(owner))
    assert audited(owner) == {(app.project, "events"): 5 * FIRST_BATCH - left}
    assert 0 < left < 5 * FIRST_BATCH
    assert run.again().work().result["events"] == left


class TestMeanwhile:
    @pytest.mark.parametrize("table", ["teams", "projects", "apps"])
    def test_of_what_is_deleted_nothing_more_is_deleted(self, job_run, owner, app, at_step, table):
        add_events(owner, app.id, 200, count=2 * FIRST_BATCH)
        at_step(lambda n: n == 1 and owner.run_script(f"UPDATE {table} SET deleted_at = clock_timestamp()"))
        result = clean(job_run)
        assert (result["events"], len(ages(owner))) == (FIRST_BATCH, FIRST_BATCH)
        assert result["projects"] == [{"project": app.project, "events": FIRST_BATCH}]

    def test_a_raised_retention_counts_from_the_next_step_on(self, job_run, owner, app, at_step):
        add_events(owner, app.id, 300, count=FIRST_BATCH)
        add_events(owner, app.id, 200, count=FIRST_BATCH)
        other = make_app(owner, app.project)
        add_events(owner, other, 200, 260)
        at_step(lambda n: n == 1 and keep_for(owner, app.project, 250))
        result = clean(job_run)
        assert (result["events"], set(ages(owner, app_id=app.id)), ages(owner, app_id=other)) == (
            FIRST_BATCH + 1, {200}, [200]
        )  # fmt: skip
        ((cutoff_days,),) = owner.run_script(
            "SELECT round(extract(epoch FROM clock_timestamp() - cutoff) / 86400)::int FROM event_deletions"
        )
        assert cutoff_days == 120

    def test_a_lowered_retention_counts_from_the_next_step_on_too(self, job_run, owner, app, at_step):
        add_events(owner, app.id, 200, count=FIRST_BATCH + 1)
        add_events(owner, app.id, 100)
        at_step(lambda n: n == 1 and keep_for(owner, app.project, 90))
        assert clean(job_run)["events"] == FIRST_BATCH + 2
        assert owner.run_script("SELECT cutoff > clock_timestamp() - interval '91 days' FROM event_deletions") == [
            [True]
        ]

    def test_a_step_waits_for_a_change_of_the_retention_and_finds_it(self, connect, owner, app):
        add_events(owner, app.id, 200)
        job, person, found = connect(user="nightshift_maintenance"), connect(user="postgres"), []
        of = {"app_id": app.id, "project_id": app.project, "column": "retention_days_events", "relation": "events"}
        of |= {"first": "-infinity", "last": "2100-01-01", "batch": 10}
        person.begin()
        keep_for(person, app.project, 250)
        step = threading.Thread(target=lambda: found.append(job.query("delete_expired_events", **of, retention=None)))
        step.start()
        while not owner.run_script(
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%cleanup_batch%'"
        ):
            time.sleep(0.01)
        person.commit()
        step.join()
        assert (found, ages(owner)) == ([[]], [200])
        assert job.query("delete_expired_events", **of, retention="250")[0]["deleted"] == 1
        keep_for(owner, app.project, None)
        assert job.query("delete_expired_events", **of, retention="250") == []

    def test_late_events_go_with_the_others(self, job_run, owner, app, at_step):
        add_events(owner, app.id, 200, count=FIRST_BATCH + 1)
        # Behind the walk's place, and before it.
        at_step(lambda n: n == 1 and add_events(owner, app.id, 300, 150))
        result = clean(job_run)
        assert (result["events"], ages(owner), result["left"]) == (FIRST_BATCH + 3, [], [])

    def test_late_events_without_end_do_not_hold_up_the_others(self, job_run, owner, app, at_step):
        other = make_app(owner, app.project)
        for each in (app.id, other):
            add_events(owner, each, 200)
        first = min(app.id, other)
        at_step(lambda n: add_events(owner, first, 300 + n))
        result = clean(job_run)
        assert ages(owner, app_id=max(app.id, other)) == []
        because = f"after {retention_job.WALKS} walks there are still expired events"
        assert result["left"] == [{"table": "events", "app": first, "because": because}]
        assert result["warning"] == f"Expired events in events of app {first} stay: {because}."

    def test_an_app_that_moves_to_another_project_follows_its_retention(self, job_run, owner, app, at_step):
        add_events(owner, app.id, 200, count=FIRST_BATCH + 1)
        other = str(uuid.UUID(int=0))
        owner.run_script(
            "INSERT INTO projects (id, team_id, name, slug, retention_days_events)"
            f" SELECT '{other}', team_id, 'P', 'p', 250 FROM projects"
        )
        at_step(lambda n: n == 1 and owner.run_script(f"UPDATE apps SET project_id = '{other}'"))
        assert clean(job_run)["events"] == FIRST_BATCH
        assert ages(owner) == [200]


class TestTables:
    def test_those_that_are_missing_are_named(self, job_run, owner, app):
        owner.run_script("DROP TABLE metric_events, funnel_events")
        add_events(owner, app.id, 200)
        result = clean(job_run)
        assert (result["events"], result["missing_tables"]) == (1, ["metric_events", "funnel_events"])
        owner.run_script("DROP TABLE events")
        assert not any(counts(clean(job_run)).values())

    def test_one_that_is_not_partitioned_or_has_no_time_zone_is_worked_as_well(self, job_run, owner, app):
        owner.run_script(
            'DROP TABLE events; CREATE TABLE events (app_id uuid, message text, "timestamp" timestamp);'
            'CREATE INDEX ON events (app_id, "timestamp", message); ALTER TABLE events OWNER TO nightshift_events'
        )
        add_events(owner, app.id, 200, 121, 119)
        assert clean(job_run, dry_run=True)["events"] == 2
        assert (clean(job_run)["events"], ages(owner)) == (2, [119])

    def test_one_whose_partitions_mix_their_times(self, job_run, owner, app):
        """A step stays in one partition; the next walk takes what it left in the others."""
        owner.run_script(
            'DROP TABLE events; CREATE TABLE events (app_id uuid, message text, "timestamp" timestamptz, n int)'
            " PARTITION BY HASH (n);"
            "CREATE TABLE a PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
            "CREATE TABLE b PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
            'CREATE INDEX ON events (app_id, "timestamp"); ALTER TABLE events OWNER TO nightshift_events;'
            f"INSERT INTO events SELECT '{app.id}', 'm', clock_timestamp() - make_interval(days => n), n"
            " FROM generate_series(100, 160) n"
        )
        assert clean(job_run, dry_run=True)["events"] == 41
        assert clean(job_run)["events"] + len(ages(owner)) == 61
        while clean(job_run)["left"]:
            pass
        assert ages(owner) == list(range(100, 120))

    @pytest.mark.parametrize(
        ("change", "because"),
        [
            ("DROP INDEX events_app", 'it has no index on (app_id, "timestamp"): create one'),
            (
                'DROP INDEX events_app; CREATE INDEX ON events (app_id, "timestamp") WHERE user_id IS NULL',
                'it has no index on (app_id, "timestamp"): create one',
            ),
            (
                'DROP INDEX events_app; CREATE INDEX ON events ("timestamp", app_id)',
                'it has no index on (app_id, "timestamp"): create one',
            ),
            (
                'DROP TABLE events; CREATE TABLE events (app_id uuid, "timestamp" date);'
                ' CREATE INDEX ON events (app_id, "timestamp"); ALTER TABLE events OWNER TO nightshift_events',
                'its column "timestamp" is not a timestamptz or a timestamp',
            ),
            (
                "ALTER TABLE events OWNER TO postgres; GRANT SELECT ON events TO nightshift_maintenance",
                "nightshift_maintenance lacks a right to it: see docs/platform.md",
            ),
            (
                "ALTER TABLE events ENABLE ROW LEVEL SECURITY; ALTER TABLE events FORCE ROW LEVEL SECURITY",
                "row-level security may hide its rows: ALTER ROLE nightshift_maintenance BYPASSRLS",
            ),
        ],
    )
    def test_one_that_cannot_be_worked_is_left_alone_and_named(self, job_run, owner, app, change, because):
        owner.run_script(change)
        add_events(owner, app.id, 400, table="metric_events")
        result = clean(job_run)
        assert (result["metric_events"], result["barred"]) == (1, [{"table": "events", "because": because}])
        assert result["warning"] == f"events was left alone: {because}."
        owner.run_script("DROP TABLE metric_events, funnel_events")
        assert job_run(NAME).work().row["error"] == f"Nothing was deleted. events: {because}"

    @pytest.mark.parametrize("table", ["projects", "apps", "teams"])
    def test_if_the_job_cannot_see_what_is_expired_it_deletes_nothing(self, job_run, owner, app, table):
        add_events(owner, app.id, 400)
        owner.run_script(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        run = job_run(NAME).work()
        assert run.row["error"].startswith(f"Nothing was deleted. {table}: row-level security may hide its rows")
        assert ages(owner) == [400]


class TestInTheWay:
    def test_what_the_platform_refuses_to_delete_is_left_and_named(self, job_run, owner, app):
        add_events(owner, app.id, 200)
        add_events(owner, app.id, 400, table="metric_events")
        owner.run_script(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'events are for ever'; END $$;"
            "CREATE TRIGGER keep BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION keep()"
        )
        result = clean(job_run)
        assert counts(result) == {"events": 0, "metric_events": 1, "funnel_events": 0}
        assert result["left"] == [
            {"table": "events", "app": app.id, "because": "its events cannot go: events are for ever"}
        ]
        assert audited(owner) == {(app.project, "metric_events"): 1}

    def test_what_fails_again_and_again_is_left_and_the_others_go_on(self, job_run, owner, app):
        other = make_app(owner, app.project)
        for each in (app.id, other):
            add_events(owner, each, 200)
        owner.run_script(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF OLD.app_id = '{app.id}' THEN RAISE EXCEPTION 'broken page' USING ERRCODE = 'XX001'; END IF;"
            " RETURN OLD; END $$;"
            "CREATE TRIGGER fail BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION fail()"
        )
        result = job_run(NAME).finish().result
        assert (ages(owner, app_id=app.id), ages(owner, app_id=other)) == ([200], [])
        because = "it failed 3 times in a row; the run's timeline says why"
        assert result["left"] == [{"table": "events", "app": app.id, "because": because}]

    def test_if_everything_fails_the_run_does(self, job_run, owner, app, monkeypatch):
        monkeypatch.setattr(retention_job, "MOST_STUCK", 1)
        for each in (app.id, make_app(owner, app.project)):
            add_events(owner, each, 200)
        owner.run_script(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'broken page' USING ERRCODE = 'XX001'; END $$;"
            "CREATE TRIGGER fail BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION fail()"
        )
        run = job_run(NAME).finish()
        assert run.row["error"] == "2 tables failed 3 times in a row each: the timeline says why"


class TestSteps:
    def test_a_step_is_bounded_although_a_thousand_events_have_one_time(self, job_run, owner, app):
        owner.run_script(
            'INSERT INTO events (app_id, "timestamp", message)'
            f" SELECT '{app.id}', clock_timestamp() - interval '200 days', 'm'"
            " FROM (SELECT statement_timestamp()) AS of (moment), generate_series(1, 1000)"
        )
        owner.run_script("""UPDATE events SET "timestamp" = (SELECT min("timestamp") FROM events)""")
        would = job_run(NAME, params={"dry_run": True}).finish(remaining_s=1)
        run = job_run(NAME).finish(remaining_s=1)
        for each in (would, run):
            taken = [sum(step.cursor["counts"].values()) for step in each.checkpoints]
            assert max(after - before for before, after in pairwise(taken)) <= 2 * FIRST_BATCH
            assert taken[:1] == [FIRST_BATCH]
            assert each.result["events"] == 1000
        assert ages(owner) == []

    def test_a_step_reads_no_more_where_there_is_more_to_delete(self, owner, app):
        """Neither does the look for the oldest event, nor the count of a dry run."""
        of = {"relation": "events", "app_id": app.id, "project_id": app.project, "column": "retention_days_events"}
        of |= {"first": "2000-01-01", "last": "2100-01-01", "batch": 100, "passed": 0}
        queries = ("oldest_expired_event", "count_expired_events", "delete_expired_events")
        for query in queries:  # The first call of a session also reads the catalogue.
            explained(owner, query, **of)
        read = []
        for count in (1000, 20_000):
            add_events(owner, app.id, 200, 230, 260, count=count)
            owner.run_script("VACUUM ANALYZE events")
            read.append({query: explained(owner, query, **of)[1] for query in queries})
        few, many = read
        assert len(ages(owner)) == 3 * 21_000 - 2 * 100
        assert few["delete_expired_events"] > 100
        assert all(many[query] < 1.5 * few[query] + 20 for query in queries), read

    def test_the_next_app_is_found_without_the_ones_before(self, owner, app):
        read = []
        for more in (100, 2000):
            owner.run_script(
                "INSERT INTO projects (team_id, name, slug)"
                f" SELECT team_id, 'P', 'p-{more}-' || n FROM projects, generate_series(1, {more}) n"
                f" WHERE id = '{app.project}';"
                "INSERT INTO apps (project_id, name)"
                " SELECT id, 'A' FROM projects WHERE NOT EXISTS (SELECT FROM apps WHERE project_id = projects.id)"
            )
            owner.run_script("VACUUM ANALYZE projects, apps")
            [[project_id, app_id]] = owner.run_script(
                "SELECT project_id::text, id::text FROM apps ORDER BY project_id, id"
                " OFFSET (SELECT count(*) FROM apps) / 2 LIMIT 1"
            )
            explained(owner, "next_retained_app", project_id=project_id, app_id=app_id)
            read.append(explained(owner, "next_retained_app", project_id=project_id, app_id=app_id))
        assert read[0][0] == read[1][0] == 1
        assert read[1][1] < read[0][1] + 20, read


def test_the_result_fits_whatever_went_wrong():
    state = Retained("2026-11-23 02:00:00+00", 10**9, [*KIND_OF], [], [], is_dry=False)
    state.barred = [{"table": table, "because": "x" * 100} for table in KIND_OF]
    for _ in range(3 * SHOWN_PROJECTS):
        state.enter(str(uuid.uuid4()), str(uuid.uuid4()))
        for table in KIND_OF:
            state.count(table, 10**15)
            state.leave(table, 200 * "\N{BELL}")
            state.note_no_valid_number("retention_days_metrics", 200 * "\N{BELL}", used_days=365)
    result = state.result()
    assert len(json.dumps(result)) < MAX_RESULT_BYTES
    assert (len(result["projects"]), result["projects_in_all"]) == (SHOWN_PROJECTS, 3 * SHOWN_PROJECTS)
    assert (len(result["left"]), result["left_in_all"]) == (SHOWN, 9 * SHOWN_PROJECTS)
    assert len(json.dumps(state.progress().cursor)) < 32_768


def test_the_projects_with_the_most_events_are_shown_first():
    state = Retained("2026-11-23 02:00:00+00", 1, [*KIND_OF], [], [], is_dry=False)
    for events in range(2 * SHOWN_PROJECTS):
        state.enter(f"p{events}", "a")
        state.count("events", events)
        state.count("metric_events", 1)
    shown = [each["events"] for each in state.result()["projects"]]
    assert shown == list(range(2 * SHOWN_PROJECTS - 1, SHOWN_PROJECTS - 1, -1))


def test_a_cursor_comes_back_as_it_went():
    state = Retained("2026-11-23 02:00:00+00", 7, ["events"], [], [], is_dry=True)
    state.enter("p", "a")
    state.finish_app()
    assert Retained.of(json.loads(json.dumps(state.progress().cursor))) == state
