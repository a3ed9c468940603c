"""The job soft_delete_cleanup through the executor, with the system jobs' role, on real rows."""

import json
import random
import threading
import uuid
from datetime import date
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from nightshift.base.errors import DatabaseBusy
from nightshift.database.migrations import create_first_partitions
from nightshift.runs.slices import MAX_RESULT_BYTES, Slice
from nightshift.testing import assert_resumable
from nightshift.testing.rows import age, make_team, run_row, sweep
from nightshift_jobs.soft_delete_cleanup import job as cleanup_job
from nightshift_jobs.soft_delete_cleanup import pace
from nightshift_jobs.soft_delete_cleanup.pace import FIRST_BATCH, MAX_BATCH, next_batch
from nightshift_jobs.soft_delete_cleanup.state import REASON_LENGTH, SHOWN, State
from tests.support.fixtures import ROLES
from tests.support.forest import DEFINITIONS, EVENTS, TABLES, Forest, Node, audited, stored
from tests.support.world import NO_LINES, claim

LONG_AGO, RECENTLY = 9, 2


NAME = "soft_delete_cleanup"


def clean(job_run):
    """Run the job from start to end in one slice and return its result."""
    return job_run(NAME).work().result


def tree(forest, *, team=None, project=None, app=None, rows=2):
    """Plant a team, a project and an app with ``rows`` rows of everything; each takes the days since its deletion."""
    top = forest.add("teams", days=team)
    for table in ("api_keys", "team_members"):
        for _ in range(rows):
            forest.add(table, top)
    middle = forest.add("projects", top, project)
    for table in (*DEFINITIONS, "project_integrations", "app_users", "job_runs"):
        for _ in range(rows):
            forest.add(table, middle)
    bottom = forest.add("apps", middle, app)
    for table in ("api_keys", *EVENTS):
        for _ in range(rows):
            forest.add(table, bottom)
    return top, middle, bottom


def counts(result):
    return {table: result[table] for table in TABLES}


@pytest.fixture
def forest():
    return Forest()


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
        return taken

    return at_step


def hold(job, cutoff, root, project=None, app=None):
    """Run cleanup_hold and return the id of a row that it could not hold."""
    below = {"project": project and project.id, "app": app and app.id}
    return job.one("cleanup_hold", resource=root.table, id=root.id, cutoff=cutoff, **below)["astray"]


def many_events(owner, app_id, count, *, table="events", timestamp="clock_timestamp() - n * interval '1 s'"):
    columns = {"events": "message", "metric_events": "metric_slug, phase", "funnel_events": "step_name"}[table]
    values = ", ".join("'x'" for _ in columns.split(","))
    owner.run_script(
        f'INSERT INTO {table} (id, app_id, "timestamp", {columns})'
        f" SELECT CAST(md5('{app_id}' || n) AS uuid), '{app_id}', {timestamp}, {values}"
        f" FROM generate_series(1, {count}) n"
    )


def how_many(owner, table, condition="true"):
    return owner.run_script(f"SELECT count(*) FROM {table} WHERE {condition}")[0][0]


DAYS = st.sampled_from([None, None, RECENTLY, 6.99, 7.01, 40])


@st.composite
def forests(draw):
    forest = Forest()

    def some(table, parent, *, of=1, deletable=True):
        return [forest.add(table, parent, draw(DAYS) if deletable else None) for _ in range(draw(st.integers(0, of)))]

    for team in some("teams", None, of=3):
        some("api_keys", team)
        some("team_members", team, deletable=False)
        for project in some("projects", team, of=2):
            for table in (*DEFINITIONS, "project_integrations"):
                some(table, project)
            some("app_users", project, of=2, deletable=False)
            some("job_runs", project, of=2, deletable=False)
            for app in some("apps", project, of=2):
                some("api_keys", app)
                for table in EVENTS:
                    some(table, app, of=2, deletable=False)
    return forest


@examples(derandomize=True, max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(forest=forests())
def test_the_topmost_soft_deleted_row_decides_over_everything_under_it(job_run, owner, forest):
    forest.plant(owner)
    people = how_many(owner, "users")

    result = clean(job_run)

    left = forest.left()
    assert stored(owner) == left
    assert counts(result) == forest.gone()
    assert result["restored"] == result["kept"] == []
    runs = {
        run_id for (run_id,) in owner.run_script("SELECT run_id::text FROM job_slices WHERE request_id = 'request'")
    }
    assert runs == left["job_runs"]
    assert how_many(owner, "job_outbox", "recipient IS NOT NULL") == len(left["job_runs"])
    assert how_many(owner, "users") == people
    assert sum(audited(owner).values()) == sum(counts(result)[table] for table in EVENTS)


def test_every_deletion_of_events_is_audited_with_its_own_projects_count(job_run, owner):
    for level in ("team", "project", "app"):
        forest = Forest()
        _, first, app = tree(forest, **{level: LONG_AGO})
        _, second, other = tree(forest, **{level: LONG_AGO})
        tree(forest)
        forest.plant(owner)
        many_events(owner, app.id, 500)
        many_events(owner, other.id, 30, table="metric_events")

        clean(job_run)

        expected = {(project, table): 2 for project in (first.id, second.id) for table in EVENTS}
        expected |= {(first.id, "events"): 502, (second.id, "metric_events"): 32}
        assert audited(owner) == {(*of, f"{level} soft-deleted"): deleted for of, deleted in expected.items()}
        ((past,),) = owner.run_script(
            "SELECT DISTINCT extract(epoch FROM now() - interval '7 days' - cutoff)::float8 FROM event_deletions"
        )
        assert 0 <= past < 3600


def test_twice_deletes_nothing_more_and_writes_no_audit(job_run, owner, forest):
    tree(forest, team=LONG_AGO)
    tree(forest, project=RECENTLY, app=LONG_AGO)
    forest.plant(owner)
    clean(job_run)
    before, audit = stored(owner), audited(owner)

    assert not any(clean(job_run).values())

    assert (stored(owner), audited(owner)) == (before, audit)


def test_a_slice_at_a_time_is_the_same_and_the_bar_only_grows(job_run, owner, forest):
    *_, app = tree(forest, team=LONG_AGO, rows=4)
    forest.plant(owner)
    many_events(owner, app.id, 1000)

    run = job_run(NAME).finish(remaining_s=1)

    bar = [(step.processed, step.total) for step in run.checkpoints]
    assert counts(run.result) == forest.gone() | {"events": 1004}
    assert len(run.slices) > 10
    assert bar == sorted(bar)
    # Without concurrent inserts the count is exact, except for an app's keys, which the team has, too.
    assert {total for _, total in bar} == {sum(counts(run.result).values()) + 4}


def test_a_walk_goes_on_in_the_next_slice_where_it_stopped(job_run, owner, forest):
    """Dead rows behind it may stay for hours; the next walk reads the earlier tables again and finds them empty."""
    _, project, _ = tree(forest, project=LONG_AGO)
    forest.plant(owner)
    behind = str(uuid.UUID(int=0))
    insert = f"INSERT INTO app_users (project_id, user_id, id) SELECT '{project.id}',"
    owner.run_script(f"{insert} n, gen_random_uuid() FROM generate_series(1, {4 * FIRST_BATCH}) n")
    run, firsts = job_run(NAME), []
    while not (row := run.row)["completed_at"]:
        walk = row["cursor"] and row["cursor"]["walk"]
        if walk and walk["relation"] == "app_users":
            if not firsts:
                owner.run_script(f"{insert} 'behind', '{behind}'")
            firsts.append(walk["first"])
            assert how_many(owner, "app_users", f"id = '{behind}'") == 1
        run.work(remaining_s=1)
    assert len(firsts) >= 4
    assert firsts == sorted(firsts)
    assert how_many(owner, "app_users") == 0


def test_a_platform_without_definitions(job_run, owner, forest):
    _, project, _ = tree(forest, project=LONG_AGO)
    forest.plant(owner)
    owner.run_script("DROP TABLE metric_definitions, funnel_definitions")
    assert clean(job_run)["projects"] == 1
    assert how_many(owner, "projects", f"id = '{project.id}'") == 0


def test_a_project_that_moved_leaves_its_old_runs_to_the_team_it_came_from(job_run, owner, forest):
    old, _, _ = tree(forest, team=LONG_AGO)
    _, project, _ = tree(forest)
    forest.plant(owner)
    owner.run_script(f"UPDATE job_runs SET team_id = '{old.id}' WHERE project_id = '{project.id}'")

    result = clean(job_run)

    assert (result["teams"], result["job_runs"], result["kept"]) == (1, 4, [])
    assert stored(owner)["projects"] == {project.id}


class TestRestored:
    @pytest.mark.parametrize("level", ["teams", "projects", "apps"])
    def test_before_the_first_step_nothing_is_touched(self, job_run, owner, forest, level):
        tree(forest, team=LONG_AGO)
        restored = tree(forest, **{level.removesuffix("s"): LONG_AGO})
        forest.plant(owner)
        run, before = job_run(NAME), stored(owner)
        owner.run_script(f"UPDATE {level} SET deleted_at = NULL WHERE id IN ('{restored[0].id}', '{restored[1].id}',"
                         f" '{restored[2].id}')")  # fmt: skip

        result = run.work().result
        assert (result["teams"], result["restored"]) == (1, [])
        under = {node.id for node in forest.nodes if restored[0] in _line(node)}
        assert {row for rows in stored(owner).values() for row in rows} == under
        assert under < {row for rows in before.values() for row in rows}

    @pytest.mark.parametrize("step", [1, 4, 11])
    def test_later_nothing_more_is_deleted_and_the_result_and_the_audit_say_what_is_gone(
        self, job_run, owner, forest, at_step, step
    ):
        # The project itself is overdue as well: the person who restores the team has not restored it yet.
        team, project, app = tree(forest, team=LONG_AGO, project=LONG_AGO)
        forest.plant(owner)
        many_events(owner, app.id, 700)
        seen = []

        def restore(n):
            if n == step:
                owner.run_script(f"UPDATE teams SET deleted_at = NULL WHERE id = '{team.id}'")
                seen.append(stored(owner))

        at_step(restore)
        result = clean(job_run)

        assert stored(owner) == seen[0]
        (restored,) = result["restored"]
        assert (restored["resource"], restored["id"]) == ("teams", team.id)
        assert restored["deleted"] == {table: count for table, count in counts(result).items() if count}
        events = {table: count for table, count in restored["deleted"].items() if table in EVENTS}
        assert audited(owner) == {(project.id, t, "team soft-deleted"): count for t, count in events.items()}
        # The next night's run finds the project, which was not restored.
        assert clean(job_run)["projects"] == 1

    def test_between_two_slices(self, job_run, owner, forest):
        *_, app = tree(forest, app=LONG_AGO)
        forest.plant(owner)
        run = job_run(NAME).work(remaining_s=1)
        owner.run_script("UPDATE apps SET deleted_at = NULL")
        result = run.work().result
        assert result["restored"] == [{"resource": "apps", "id": app.id, "deleted": {"events": 2}}]
        assert how_many(owner, "metric_events") == 2

    def test_under_a_parent_that_is_soft_deleted_meanwhile_nothing_more_is_touched(
        self, job_run, owner, forest, at_step
    ):
        tree(forest, app=LONG_AGO)
        forest.plant(owner)
        at_step(lambda n: owner.run_script("UPDATE teams SET deleted_at = now()"))
        clean(job_run)
        assert [how_many(owner, table) for table in EVENTS] == [0, 2, 2]

    def test_a_restore_waits_for_the_step_and_new_rows_do_not(self, connect, owner, forest):
        _, project, _ = tree(forest, project=LONG_AGO)
        forest.plant(owner)
        cutoff = owner.run_script("SELECT (clock_timestamp() - interval '7 days')::text")[0][0]
        job, person = connect(user="nightshift_maintenance"), connect(user="postgres", lock_timeout="50")
        job.begin()
        assert hold(job, cutoff, project) is None
        person.run_script(f"INSERT INTO app_users (project_id, user_id) VALUES ('{project.id}', 'new')")
        with pytest.raises(DatabaseBusy):
            person.run_script(f"UPDATE projects SET deleted_at = NULL WHERE id = '{project.id}'")
        job.commit()

    def test_a_step_waits_for_a_restore_and_finds_it(self, connect, owner, forest):
        _, project, _ = tree(forest, project=LONG_AGO)
        forest.plant(owner)
        cutoff = owner.run_script("SELECT (clock_timestamp() - interval '7 days')::text")[0][0]
        job, person, found = connect(user="nightshift_maintenance"), connect(user="postgres"), []
        person.begin()
        person.run_script(f"UPDATE projects SET deleted_at = NULL WHERE id = '{project.id}'")
        step = threading.Thread(target=lambda: found.append(hold(job, cutoff, project)))
        step.start()
        _until(lambda: how_many(owner, "pg_stat_activity", "wait_event_type = 'Lock' AND query LIKE '%cleanup_hold%'"))
        person.commit()
        step.join(10)
        assert found == [project.id]


class TestMoved:
    def forest(self, level):
        """Plant rows under a doomed team or project, the last of which will move; return also its destination."""
        forest = Forest()
        team, project, _ = tree(forest, rows=1, **{level: LONG_AGO})
        if level == "team":
            moving, to = forest.add("projects", team), forest.add("teams")
            for table in (*DEFINITIONS, "app_users"):
                forest.add(table, moving)
            app = forest.add("apps", moving)
        else:
            moving = app = forest.add("apps", project)
            to = forest.add("projects", forest.add("teams"))
        for table in ("events", "funnel_events"):
            forest.add(table, app)
        return forest, moving, to, app

    @pytest.mark.parametrize("level", ["team", "project"])
    def test_after_any_step_what_is_left_of_it_stays(self, job_run, owner, at_step, level):
        left = {}

        def move(n):
            if n == last and how_many(owner, moving.table, f"id = '{moving.id}'"):
                owner.run_script(f"UPDATE {moving.table} SET {level}_id = '{to.id}' WHERE id = '{moving.id}'")
                left[last] = under()

        def under():
            tables = {**dict.fromkeys(EVENTS, f"app_id = '{app.id}'"), "apps": f"id = '{app.id}'"}
            if level == "team":
                tables |= dict.fromkeys((*DEFINITIONS, "app_users"), f"project_id = '{moving.id}'")
            return {table: how_many(owner, table, condition) for table, condition in tables.items()}

        taken, last = at_step(move), 0
        while len(left) == last:
            taken.clear()
            last += 1
            forest, moving, to, app = self.forest(level)
            forest.plant(owner)
            many_events(owner, app.id, FIRST_BATCH)

            result = clean(job_run)

            if last in left:
                assert under() == left[last], last
                assert result["moved"] == [{"resource": moving.table, "id": moving.id}]
                assert (result[f"{level}s"], result["kept"]) == (1, [])
        # They include steps in the middle of its events and after them.
        assert {FIRST_BATCH + 1, 1, 0} <= {rows["events"] for rows in left.values()}
        assert how_many(owner, moving.table, f"id = '{moving.id}'") == 0

    def test_within_a_doomed_team_it_goes_with_it(self, job_run, owner, forest, at_step):
        team, _, app = tree(forest, team=LONG_AGO)
        other = forest.add("projects", team)
        forest.plant(owner)
        at_step(lambda n: owner.run_script(f"UPDATE apps SET project_id = '{other.id}'") if n == 1 else None)
        result = clean(job_run)
        assert result["moved"] == [{"resource": "apps", "id": app.id}]
        assert not any(stored(owner).values())

    def test_who_moves_it_waits_for_the_step_or_was_first(self, connect, owner, forest):
        team, project, app = tree(forest, team=LONG_AGO)
        live = forest.add("teams")
        forest.plant(owner)
        cutoff = owner.run_script("SELECT (clock_timestamp() - interval '7 days')::text")[0][0]
        job, person = connect(user="nightshift_maintenance"), connect(user="postgres", lock_timeout="50")
        move = f"UPDATE projects SET team_id = '{live.id}' WHERE id = '{project.id}'"
        job.begin()
        assert hold(job, cutoff, team, project, app) is None
        person.run_script(f"INSERT INTO app_users (project_id, user_id) VALUES ('{project.id}', 'new')")
        for refused in (move, f"UPDATE apps SET project_id = project_id WHERE id = '{app.id}'"):
            with pytest.raises(DatabaseBusy):
                person.run_script(refused)
        job.commit()

        found = []
        person.begin()
        person.run_script(move)
        step = threading.Thread(target=lambda: found.append(hold(job, cutoff, team, project, app)))
        step.start()
        _until(lambda: how_many(owner, "pg_stat_activity", "wait_event_type = 'Lock' AND query LIKE '%cleanup_hold%'"))
        person.commit()
        step.join(10)
        assert found == [project.id]


class TestRefused:
    """A refusal by the platform's constraints, triggers or rights affects one resource and no other."""

    @pytest.fixture
    def refused(self, owner, forest):
        """Return the first of two doomed projects."""
        _, project, _ = tree(forest, project=LONG_AGO)
        tree(forest, project=LONG_AGO)
        forest.plant(owner)
        return project

    def why_kept(self, owner, job_run, refused):
        result = clean(job_run)
        assert stored(owner)["projects"] == {refused.id}
        assert result["projects"] == 1
        kept = result["kept"][-1]
        assert (kept["resource"], kept["id"]) == ("projects", refused.id)
        return kept["because"]

    @pytest.mark.parametrize("when", ["", "DEFERRABLE INITIALLY DEFERRED"])
    @pytest.mark.parametrize("table", ["app_users", "metric_definitions", "job_runs", "projects"])
    def test_by_a_foreign_key(self, job_run, owner, refused, table, when):
        column, what = ("id", "it") if table == "projects" else ("project_id", f"its {table}")
        owner.run_script(
            f"CREATE TABLE notes (about uuid REFERENCES {table} {when});"
            f"INSERT INTO notes SELECT id FROM {table} WHERE {column} = '{refused.id}' LIMIT 1"
        )
        assert self.why_kept(owner, job_run, refused) == f"notes refers to {what}"
        # A run that could not delete any of the due resources has failed.
        assert job_run(NAME).finish().row["error"] == (
            f"Nothing was deleted. Kept: projects {refused.id}: notes refers to {what}"
        )

    @pytest.mark.parametrize("table", ["app_users", "job_runs", "projects"])
    @pytest.mark.parametrize("code", ["P0001", "23001", "42501", "LH001"])
    def test_by_a_trigger(self, job_run, owner, refused, table, code):
        column, what = ("id", "it") if table == "projects" else ("project_id", f"its {table}")
        owner.run_script(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE 'legal hold%', repeat('!', 9999) USING ERRCODE = '{code}'; END $$;"
            f"CREATE TRIGGER refuse BEFORE DELETE ON {table} FOR EACH ROW WHEN (OLD.{column} = '{refused.id}')"
            " EXECUTE FUNCTION refuse()"
        )
        because = self.why_kept(owner, job_run, refused)
        assert because.startswith(f"{what} cannot go: legal hold!")
        assert len(because) == REASON_LENGTH

    @pytest.mark.parametrize(
        ("table", "because"), [("app_users", "rows keep coming into app_users"), ("projects", "a trigger keeps it")]
    )
    def test_by_a_trigger_that_says_nothing(self, job_run, owner, refused, table, because):
        column = "id" if table == "projects" else "project_id"
        owner.run_script(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            f"CREATE TRIGGER refuse BEFORE DELETE ON {table} FOR EACH ROW WHEN (OLD.{column} = '{refused.id}')"
            " EXECUTE FUNCTION refuse()"
        )
        assert self.why_kept(owner, job_run, refused) == because

    def test_trouble_that_passes_is_the_runs(self, connect, owner, forest, refused):
        other, job = connect(user="postgres"), connect(user="nightshift_maintenance", lock_timeout="50")
        other.begin()
        other.run_script(f"SELECT FROM app_users WHERE project_id = '{refused.id}' FOR KEY SHARE")
        of = {"relation": "app_users", "parent_column": "project_id", "parent": refused.id, "walk_column": "id"}
        bounds = {"first": str(uuid.UUID(int=0)), "last": str(uuid.UUID(int=2**128 - 1)), "batch": 10}
        with pytest.raises(DatabaseBusy):
            job.query("cleanup_batch", **of, **bounds)
        other.commit()

    def test_tables_younger_than_the_grants(self, job_run, owner, forest):
        """The job names them, keeps rows that they may refer to, and continues."""
        _, project, _ = tree(forest, project=LONG_AGO)
        _, _, app = tree(forest, app=LONG_AGO)
        forest.plant(owner)
        owner.run_script(
            "DROP TABLE metric_definitions;"
            "CREATE TABLE metric_definitions (id uuid PRIMARY KEY, project_id uuid, deleted_at timestamptz)"
        )
        result = clean(job_run)
        assert result["barred"] == ["metric_definitions"]
        because = "a right to metric_definitions is missing"
        assert result["kept"] == [{"resource": "projects", "id": project.id, "because": because}]
        assert app.id not in stored(owner)["apps"]

        owner.run_script("GRANT SELECT, DELETE, UPDATE (deleted_at) ON metric_definitions TO nightshift_maintenance")
        result = clean(job_run)
        assert (result["barred"], result["kept"], result["projects"]) == ([], [], 1)

    @pytest.mark.parametrize("table", ["teams", "projects", "apps", "api_keys", "app_users", "events"])
    def test_a_right_that_was_taken_away(self, job_run, owner, forest, table):
        tree(forest, team=LONG_AGO)
        tree(forest, project=LONG_AGO)
        # A resource that needs no right to any of them.
        top, *_ = tree(forest)
        forest.add("metric_definitions", forest.add("projects", top), LONG_AGO)
        forest.plant(owner)
        # Its rights to events come from its membership in the table owner's role.
        owner.run_script(f"REVOKE DELETE ON {table} FROM nightshift_maintenance, nightshift_events")
        result = clean(job_run)
        assert result["barred"] == [table]
        assert result["teams"] == 0
        assert result[table] == 0
        assert result["projects"] == (table == "teams")

    @pytest.mark.parametrize("table", ["teams", "projects", "api_keys", "metric_definitions"])
    def test_a_missing_right_alone_is_no_success(self, job_run, owner, forest, table):
        top = forest.add("teams", days=LONG_AGO if table == "teams" else None)
        if table != "teams":
            of = forest.add("projects", top) if table == "metric_definitions" else top
            forest.add(table, of, LONG_AGO)
        forest.plant(owner)
        owner.run_script(f"REVOKE DELETE ON {table} FROM nightshift_maintenance")
        before = stored(owner)
        assert job_run(NAME).finish().row["error"] == (
            f"Nothing was deleted. Rights to {table} are missing: GRANT SELECT, DELETE, UPDATE (deleted_at) to "
            "nightshift_maintenance"
        )
        assert stored(owner) == before

    @pytest.mark.parametrize("table", ["teams", "projects", "apps"])
    @pytest.mark.parametrize(
        "narrow",
        [
            "REVOKE SELECT ON {t} FROM " + ROLES,
            "ALTER TABLE {t} ENABLE ROW LEVEL SECURITY",
        ],
    )
    def test_rows_that_it_is_not_shown_are_no_success(self, job_run, owner, forest, table, narrow):
        tree(forest, team=LONG_AGO)
        forest.plant(owner)
        owner.run_script(narrow.format(t=table))
        before = stored(owner)
        assert (
            job_run(NAME)
            .finish()
            .row["error"]
            .startswith(f"nightshift_maintenance cannot see all rows of {table}, so nothing was deleted")
        )
        assert stored(owner) == before

    @pytest.mark.parametrize("table", ["app_users", "metric_definitions", "api_keys", "team_members", "events"])
    def test_what_row_level_security_hides_is_kept_with_all_above_it(self, job_run, owner, forest, table):
        """This holds even if a policy shows a part: no step could tell an empty table from a hidden one."""
        tree(forest, project=LONG_AGO)
        tree(forest, team=LONG_AGO)
        forest.plant(owner)
        owner.run_script(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        rows = stored(owner)[table]
        row = job_run(NAME).finish().row
        said = row["error"] or json.dumps(row["result"]["kept"])
        assert f"row-level security may hide rows of {table}" in said
        assert stored(owner)[table] == rows
        assert how_many(owner, "teams", "deleted_at IS NOT NULL") == 1

    HOSTILE = {
        "a code of trouble that passes": "RAISE 'no' USING ERRCODE = '40001'",
        "an internal error": "RAISE 'no' USING ERRCODE = 'XX000'",
        "a state": "RAISE 'no' USING ERRCODE = '55000'",
        "a full disk": "RAISE 'no' USING ERRCODE = '53100'",
        "a time limit": "RAISE 'no' USING ERRCODE = '57014'",
    }

    @pytest.mark.parametrize("table", ["app_users", "projects"])
    @pytest.mark.parametrize("how", HOSTILE)
    def test_a_trigger_that_fails_as_if_it_were_passing_costs_one_resource(self, job_run, owner, refused, table, how):
        column = "id" if table == "projects" else "project_id"
        owner.run_script(
            f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {self.HOSTILE[how]}; END $$;"
            f"CREATE TRIGGER refuse BEFORE DELETE ON {table} FOR EACH ROW WHEN (OLD.{column} = '{refused.id}')"
            " EXECUTE FUNCTION refuse()"
        )
        result = job_run(NAME).finish().result
        assert [each["id"] for each in result["kept"]] == [refused.id]
        assert result["kept"][0]["because"] == "it failed 3 times in a row; the run's timeline says why"
        assert stored(owner)["projects"] == {refused.id}

    def test_a_row_that_another_session_holds_costs_one_resource(self, job_run, owner, refused, connect, monkeypatch):
        holder = connect(user="postgres")
        holder.run_script(f"BEGIN; SELECT FROM projects WHERE id = '{refused.id}' FOR UPDATE")
        owner.run_script(
            f"ALTER ROLE nightshift_maintenance IN DATABASE {owner._config.database_name} SET lock_timeout = '50ms'"
        )
        result = job_run(NAME).finish().result
        holder.run_script("COMMIT")
        assert [each["id"] for each in result["kept"]] == [refused.id]
        assert result["projects"] == 1

    def test_trouble_with_everything_fails_the_run(self, job_run, owner, forest, monkeypatch):
        monkeypatch.setattr(cleanup_job, "MOST_STUCK", 2)
        for _ in range(4):
            tree(forest, project=LONG_AGO, rows=0)
        forest.plant(owner)
        owner.run_script(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE 'no' USING ERRCODE = '53100'; END $$;"
            "CREATE TRIGGER refuse BEFORE DELETE ON projects FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        assert job_run(NAME).finish().row["error"].startswith("3 resources failed 3 times in a row each")


class TestKilled:
    @pytest.fixture(autouse=True)
    def same_steps_each_time(self, monkeypatch):
        """Give all batches the same size, however long each step took."""
        monkeypatch.setattr(cleanup_job, "next_batch", lambda batch, **_: batch)

    EXPIRED = {
        "a team": lambda forest: tree(forest, team=LONG_AGO, rows=1),
        "apps": lambda forest: [
            tree(forest, app=LONG_AGO, rows=1),
            tree(forest, project=RECENTLY, app=LONG_AGO, rows=1),  # not due
        ],
        "a key": lambda forest: forest.add("api_keys", tree(forest, rows=1)[0], LONG_AGO),
    }

    def plant(self, owner, names=tuple(EXPIRED)):
        forest = Forest()
        for name in names:
            self.EXPIRED[name](forest)
        forest.plant(owner)
        for (app_id,) in owner.run_script("SELECT id::text FROM apps WHERE deleted_at IS NOT NULL"):
            many_events(owner, app_id, 450)

    def end(self, owner):
        return stored(owner), audited(owner)

    @pytest.mark.parametrize(("name", "steps"), [("a team", 14), ("apps", 7), ("a key", 1)])
    def test_at_every_step_the_end_is_the_same(self, job_run, owner, name, steps):
        self.plant(owner, [name])
        assert len(assert_resumable(job_run, NAME, end=self.end)) == steps

    def test_whoever_thaws_behind_the_sweep_keeps_nothing_of_its_step(self, job_run, owner):
        """Frozen after every statement of the step except the commit; the next worker takes the same step."""
        self.plant(owner)
        run = job_run(NAME)
        while not run.row["completed_at"]:
            before = self.end(owner)
            run.freeze(before=1)
            assert self.end(owner) == before
            run.kill(after=1)
        assert len(run.checkpoints) > 20

    def test_again_and_again(self, job_run, owner):
        seed = random.randrange(10**9)
        print(f"seed {seed}")
        draw = random.Random(seed)
        self.plant(owner)

        def cleaned(disturb):
            with job_run.in_a_copy() as copied:
                run = copied(NAME)
                disturb(run)
                return run.finish().result, self.end(copied.owner), len(run.checkpoints)

        def kill(run):
            while len(run.checkpoints) < steps - 8:
                # Each worker commits a step at least: five in a row that commit none end the run, as they should.
                run.kill(**{draw.choice(("before", "after")): draw.randint(2, 8)})

        *undisturbed, steps = cleaned(lambda run: None)
        for _ in range(4):
            assert cleaned(kill) == (*undisturbed, steps)


class TestLiveRuns:
    def live_run(self, owner, forest, **days):
        _, project, _ = tree(forest, **days)
        forest.plant(owner)
        run_id = str(uuid.uuid4())
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, notify, resend_at)"
            f" SELECT '{run_id}', 'revenuecat_sync', team_id, id, 'x', true, now() FROM projects"
            f" WHERE id = '{project.id}'"
        )
        return run_id

    @pytest.mark.parametrize("level", ["team", "project"])
    def test_one_that_nobody_holds_is_cancelled_by_the_cleanup_before_anything_is_deleted(
        self, job_run, owner, forest, at_step, level
    ):
        live = self.live_run(owner, forest, **{level: LONG_AGO})
        before, seen = stored(owner), []
        at_step(lambda n: seen.append((run_row(owner, live), stored(owner))) if n == 1 else None)

        result = clean(job_run)

        (row, rows), *_ = seen
        assert (row["status"], row["cancel_requested_by"], rows) == ("cancelled", NAME, before)
        assert result["job_runs"] == 3
        assert result["projects"] == 1

    @pytest.mark.parametrize("alive", [True, False])
    def test_one_at_work_is_asked_and_waited_for(self, job_run, cloud, db, owner, forest, alive):
        live = self.live_run(owner, forest, project=LONG_AGO)
        claim(db, live, 0, lease_s=100, request_id="worker")
        run, before = job_run(NAME), stored(owner)

        for _ in range(2):
            assert run.work().row["waiting_for"] == f"run {live} of a deleted project to end"
        asked = run_row(owner, live)
        assert (asked["status"], asked["cancel_requested_by"], stored(owner)) == ("running", NAME, before)
        if alive:
            db.query("end_run", run_id=live, slice=0, status="cancelled", result=None, error=None, **NO_LINES)
        else:
            age(owner, live, 3600)
            sweep(db=db, settings=cloud)

        assert run.work().result["job_runs"] == 3
        assert how_many(owner, "projects") == 0

    def test_one_that_does_not_end_keeps_its_project_and_no_other(self, job_run, db, owner, forest, monkeypatch):
        tree(forest, project=LONG_AGO)
        live = self.live_run(owner, forest, team=LONG_AGO)
        claim(db, live, 0, lease_s=100, request_id="frozen")
        monkeypatch.setattr(cleanup_job, "WAITS", 1)

        result = job_run(NAME).work().work().result

        assert [(kept["resource"], kept["because"]) for kept in result["kept"]] == [
            ("teams", f"its run {live} does not end")
        ]
        assert (result["teams"], result["projects"]) == (0, 1)

    def test_other_projects_runs_and_its_own_go_on(self, job_run, owner, forest):
        live = self.live_run(owner, forest, project=RECENTLY)
        tree(forest, app=LONG_AGO)
        clean(job_run)
        assert run_row(owner, live)["status"] == "pending"


class TestMeanwhile:
    def test_rows_that_come_while_their_parents_go_are_taken_along(self, job_run, owner, forest, at_step):
        *_, app = tree(forest, team=LONG_AGO)
        forest.plant(owner)
        many_events(owner, app.id, 450)

        def add(n):
            if n > 3:
                return
            owner.run_script(
                f"INSERT INTO app_users (project_id, user_id) SELECT id, 'new {n}' FROM projects;"
                f"INSERT INTO apps (project_id, name) SELECT id, 'new' FROM projects WHERE {n} = 2;"
                "INSERT INTO api_keys (team_id, app_id, key_type, key_hash, key_prefix)"
                " SELECT team_id, app.id, 'client', sha256(gen_random_uuid()::text::bytea), ''"
                " FROM apps app JOIN projects p ON p.id = project_id"
            )
            for (app_id,) in owner.run_script("SELECT id::text FROM apps"):
                # One after the walk's position, and one before it.
                many_events(owner, app_id, 2, timestamp=f"clock_timestamp() - (n - 1) * interval '10 min' * {n}")

        at_step(add)
        result = clean(job_run)

        assert result["kept"] == []
        assert not any(stored(owner).values())
        assert sum(audited(owner).values()) == sum(result[table] for table in EVENTS)

    def test_rows_that_never_stop_coming_keep_their_parents_and_no_others(self, job_run, owner, forest, at_step):
        *_, app = tree(forest, team=LONG_AGO)
        tree(forest, project=LONG_AGO)
        forest.plant(owner)

        at_step(lambda n: many_events(owner, app.id, 3, timestamp="clock_timestamp()"))
        result = clean(job_run)

        assert [(kept["resource"], kept["because"]) for kept in result["kept"]] == [
            ("apps", "rows keep coming into events"),
            ("projects", "one of its apps was kept"),
            ("teams", "one of its projects was kept"),
        ]
        assert (result["teams"], result["projects"]) == (0, 1)

    def test_what_a_table_of_the_platforms_own_refers_to_is_kept_and_named(self, job_run, owner, forest):
        _, project, _ = tree(forest, project=LONG_AGO)
        for _ in range(2 * SHOWN):
            forest.add("projects", forest.add("teams", days=LONG_AGO))
        forest.plant(owner)
        owner.run_script(
            "CREATE TABLE dashboards (project_id uuid REFERENCES projects, team_id uuid REFERENCES teams);"
            "INSERT INTO dashboards (team_id) SELECT id FROM teams WHERE deleted_at IS NOT NULL;"
            f"INSERT INTO dashboards (project_id) VALUES ('{project.id}')"
        )
        result = clean(job_run)
        assert result["teams"] == 0
        assert (len(result["kept"]), result["kept_in_all"]) == (SHOWN, 2 * SHOWN + 1)
        assert {kept["because"] for kept in result["kept"]} == {"dashboards refers to it"}
        assert how_many(owner, "projects", f"id = '{project.id}'") == 1

    def test_a_lock_that_somebody_holds_does_not_stop_the_others(self, job_run, connect, owner, forest):
        _, project, _ = tree(forest, project=LONG_AGO)
        tree(forest, project=LONG_AGO)
        forest.plant(owner)
        other = connect(user="postgres")
        other.begin()
        other.run_script(f"SELECT FROM projects WHERE id = '{project.id}' FOR KEY SHARE")
        result = clean(job_run)
        other.commit()
        assert result["kept"] == [{"resource": "projects", "id": project.id, "because": "somebody holds a lock on it"}]
        assert result["projects"] == 1


class TestBatch:
    @pytest.fixture
    def batch(self, owner, connect):
        """``batch(app_id, size)``: take one step of a walk through its events; return (deleted, reached)."""
        job = connect(user="nightshift_maintenance")
        create_first_partitions(owner, today=date(2026, 1, 1), months_ahead=2)

        def batch(app_id, size, *, first="2000-01-01", last="2100-01-01"):
            of = {"relation": "events", "parent_column": "app_id", "parent": app_id, "walk_column": "timestamp"}
            row = job.one("cleanup_batch", **of, first=first, last=last, batch=size)
            return row["deleted"], row["reached"]

        return batch

    def test_a_thousand_events_of_one_moment_are_a_thousand(self, owner, batch):
        app, other = str(uuid.uuid4()), str(uuid.uuid4())
        for app_id in (app, other):
            many_events(owner, app_id, 1000, timestamp="'2026-02-02'")
        reached = "2000-01-01"
        for _ in range(4):
            deleted, reached = batch(app, 250, first=reached)
            assert deleted == 250
        assert batch(app, 250, first=reached) == (0, None)
        assert owner.run_script("SELECT app_id::text, count(*) FROM events GROUP BY 1") == [[other, 1000]]

    def test_a_step_ends_with_its_partition_and_within_its_bounds(self, owner, batch):
        app = str(uuid.uuid4())
        many_events(owner, app, 85, timestamp="'2026-01-01'::timestamptz + n * interval '1 day'")
        assert batch(app, 50) == (30, "2026-01-31 00:00:00+00")
        assert batch(app, 10) == (10, "2026-02-10 00:00:00+00")
        assert batch(app, 50, last="2026-02-15 00:00:00+00") == (5, "2026-02-15 00:00:00+00")
        assert batch(app, 50) == (13, "2026-02-28 00:00:00+00")
        assert batch(app, 50) == (27, "2026-03-27 00:00:00+00")
        assert batch(app, 50) == (0, None)

    def test_a_step_opens_no_partition_but_its_own(self, owner, batch):
        """Its bounds are known at planning, so the DELETE locks one of three months."""
        many_events(owner, app := str(uuid.uuid4()), 10, timestamp="'2026-02-02'")
        owner.begin()
        owner.run_script(
            f"SELECT cleanup_batch('events', 'app_id', '{app}', 'timestamp', '2000-01-01', '2100-01-01', 5)"
        )
        locked = owner.run_script(
            "SELECT relation::regclass::text FROM pg_locks WHERE pid = pg_backend_pid() AND mode = 'RowExclusiveLock'"
            " AND relation IN (SELECT inhrelid FROM pg_inherits)"
            " AND EXISTS (SELECT FROM pg_class WHERE oid = relation AND relkind = 'r')"
        )
        owner.rollback()
        assert locked == [["events_2026_02"]]


def test_every_foreign_key_has_an_index_that_begins_with_it(owner):
    """Otherwise each deleted row would cost a scan of a whole table."""
    unindexed = owner.run_script(
        """
        SELECT conrelid::regclass::text, conname FROM pg_constraint
        WHERE contype = 'f' AND NOT EXISTS (
            SELECT FROM pg_index
            WHERE indrelid = conrelid AND indisvalid AND indkey[0] = conkey[1] AND cardinality(conkey) = 1
              -- Of partial indexes those that hold every row with a value there.
              AND (indpred IS NULL OR pg_get_expr(indpred, indrelid) = format('(%s IS NOT NULL)', (
                      SELECT attname FROM pg_attribute WHERE attrelid = conrelid AND attnum = conkey[1]))))
        """
    )
    assert unindexed == []
    assert how_many(owner, "pg_constraint", "contype = 'f'") > 10


def test_no_foreign_key_deletes_more_than_one_row_by_itself(owner):
    """A step deletes a batch of rows. The sync remembers each user and each project in one row, which goes with it."""
    of_one_row = (
        "array_length(conkey, 1) = 1 AND EXISTS (SELECT FROM pg_index WHERE indrelid = conrelid AND indisunique"
    )
    of_one_row += " AND indisunique AND indnkeyatts = 1 AND indkey[0] = conkey[1])"
    assert how_many(owner, "pg_constraint", f"contype = 'f' AND confdeltype <> 'a' AND NOT ({of_one_row})") == 0
    assert how_many(owner, "pg_constraint", f"contype = 'f' AND confdeltype <> 'a' AND {of_one_row}") == 2


class TestPace:
    @given(st.lists(st.floats(1e-7, 0.1), min_size=1, max_size=30))
    def test_a_step_ends_in_time_unless_rows_became_much_slower_at_once(self, seconds_a_row):
        batch, last = FIRST_BATCH, seconds_a_row[0]
        for number, cost_s in enumerate(seconds_a_row):
            took_s = batch * cost_s
            if number and batch > 1 and cost_s <= 2.5 * last:
                assert took_s <= 0.25 + 1e-9
            batch, last = next_batch(batch, deleted=batch, took_s=took_s), cost_s
            assert 1 <= batch <= MAX_BATCH

    @given(st.integers(1, MAX_BATCH), st.floats(0, 100), st.data())
    def test_it_at_most_doubles_and_a_step_that_was_not_full_does_not_raise_it(self, batch, took_s, data):
        deleted = data.draw(st.integers(0, batch))
        following = next_batch(batch, deleted=deleted, took_s=took_s)
        assert 1 <= following <= min(2 * batch, MAX_BATCH)
        if deleted < batch:
            assert following <= batch

    @given(st.floats(1e-7, 0.05))
    def test_at_an_even_speed_it_settles_near_what_it_aims_at(self, cost_s):
        batch = FIRST_BATCH
        for _ in range(12):
            batch = next_batch(batch, deleted=batch, took_s=batch * cost_s)
        assert batch == MAX_BATCH or pace.TARGET_S / 2 - cost_s <= batch * cost_s <= pace.TARGET_S + cost_s


def test_where_a_row_takes_ten_milliseconds_a_step_takes_about_ten_rows(connect, owner, forest):
    *_, app = tree(forest, app=LONG_AGO, rows=0)
    forest.plant(owner)
    many_events(owner, app.id, 400)
    job = connect(user="nightshift_maintenance")
    run, db = (
        SimpleNamespace(id=str(uuid.uuid4()), cursor=None, failures=0),
        SimpleNamespace(read=job.query, write=job.query),
    )
    rows = [0]
    for step in cleanup_job.soft_delete_cleanup(run, db, clock=lambda: rows[-1] * 0.01):
        rows.append(step.processed)
    deleted = [after - before for before, after in pairwise(rows)]
    assert (deleted[0], sum(deleted)) == (FIRST_BATCH, 401)
    assert max(deleted[1:]) <= 10
    assert len(deleted) <= 30


def test_the_result_fits_whatever_went_wrong():
    state, number = State(cutoff="2026-01-01", total=0), 10**15
    for _ in range(3 * SHOWN):
        state.begin("project_integrations", str(uuid.uuid4()))
        for table in state.counts:
            state.count(table, number)
        state.spare()
        state.leave("projects", str(uuid.uuid4()))
        state.keep("project_integrations", str(uuid.uuid4()), "its project_integrations cannot go: " + 200 * "\N{BELL}")
    assert len(json.dumps(state.result())) < MAX_RESULT_BYTES


def test_a_cursor_comes_back_as_it_went():
    state = State(cutoff="2026-01-01", total=7)
    state.begin("teams", "id")
    state.walk = cleanup_job.Walk("events", "id", "a", "b")
    assert State.of(json.loads(json.dumps(state.progress().cursor))) == state


def test_somebody_elses_team_is_nobodys_business(job_run, owner, forest):
    tree(forest, team=LONG_AGO)
    forest.plant(owner)
    other = make_team(owner)
    clean(job_run)
    assert stored(owner)["projects"] == {other.project_id}
    assert len(stored(owner)["team_members"]) == 3


def _line(node: Node | None) -> list[Node]:
    return [node, *_line(node.parent)] if node else []


def _until(condition):
    while not condition():
        pass
