"""The list is exact even if runs share a millisecond, and its last page costs as much as its first."""

import itertools
import random
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from nightshift.base.errors import NotFound
from nightshift.runs import reading
from nightshift.runs.reading import Filters
from nightshift.testing.rows import make_team
from tests.support.plans import explained
from tests.support.world import trigger

NO_FILTERS = {
    "job_type": None,
    "statuses": None,
    "project_id": None,
    "since": None,
    "before_created_at": None,
    "before_id": None,
}


def walk(db, team_id, size, **filters):
    """Return every id, page by page, as a client of the API requests them."""
    from api.parsing import parse_cursor

    seen, cursor = [], None
    while True:
        created_at, run_id = parse_cursor(cursor)
        page = reading.list_page(
            Filters(**filters), team_id=team_id, limit=size, before_created_at=created_at, before_id=run_id, db=db
        )
        assert len(page.runs) <= size
        seen += [str(run.id) for run in page.runs]
        if not page.has_more:
            assert page.cursor is None
            return seen
        assert page.cursor
        cursor = page.cursor


def test_pages_of_any_size_return_each_of_200_runs_of_one_millisecond_once(db, owner):
    team = make_team(owner)
    owner.run_script(
        "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, completed_at, created_at)"
        f" SELECT gen_random_uuid(), 'revenuecat_sync', '{team.id}', '{team.project_id}', 'x', 'cancelled',"
        " clock_timestamp(), timestamptz '2026-11-23 12:00:00.123Z' + n / 200 * interval '1 ms'"
        " FROM generate_series(0, 249) n"  # 200 in one millisecond, 50 in the next
    )
    expected = [
        str(run_id) for (run_id,) in owner.run_script("SELECT id FROM job_runs ORDER BY created_at DESC, id DESC")
    ]
    for size in (1, 3, 7, 49, 50, 51, 100, 199, 200):
        assert walk(db, team.id, size) == expected


def test_a_project_is_looked_up_only_where_it_has_no_runs(cloud, db, owner):
    team, others = make_team(owner), make_team(owner, slug="others")
    assert walk(db, team.id, 10) == walk(db, team.id, 10, project_id=team.project_id) == []
    for project_id in (others.project_id, str(uuid.uuid4())):
        with pytest.raises(NotFound):
            walk(db, team.id, 10, project_id=project_id)
    run = trigger(team, db=db, settings=cloud)
    before = db.statements
    assert walk(db, team.id, 10, project_id=team.project_id) == [str(run["id"])]
    assert db.statements - before == 1


@pytest.fixture(scope="module")
def seed():
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    return seed


def test_a_moment_and_a_cursor_bound_a_page_together(db, owner):
    """Three runs at each of three moments. The moment itself belongs to the page, and the cursor's run does not."""
    team = make_team(owner)
    moments = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
    for moment in moments:
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, created_at, completed_at)"
            f" SELECT gen_random_uuid(), 'revenuecat_sync', '{team.id}', '{team.project_id}', 'x', 'completed',"
            f" '{moment}', now() FROM generate_series(1, 3)"
        )
    ids = "SELECT id::text, created_at FROM job_runs ORDER BY created_at DESC, id DESC"
    newest_first = [(run_id, moments.index(at)) for run_id, at in owner.run_script(ids)]

    def page(*, until=None, cursor=None):
        """Return the positions of the page's runs in the list of all, newest first."""
        before = (None, None) if cursor is None else (moments[newest_first[cursor][1]], newest_first[cursor][0])
        where = {"before_created_at": before[0], "before_id": before[1]}
        runs = reading.list_page(Filters(until=until), team_id=team.id, limit=50, db=db, **where).runs
        return [[run_id for run_id, _ in newest_first].index(str(run.id)) for run in runs]

    assert page() == list(range(9))
    assert page(cursor=4) == list(range(5, 9))
    assert page(until=moments[1]) == list(range(3, 9))
    assert page(until=moments[1], cursor=1) == list(range(3, 9))
    assert page(until=moments[1], cursor=4) == list(range(5, 9))
    assert page(until=moments[1], cursor=7) == [8]
    assert page(until=moments[0] - timedelta(seconds=1)) == []


def test_every_filter_and_a_deep_page_read_a_handful_of_buffers_a_row(db, owner, seed):
    """100,000 ended runs of two teams, 25,000 live ones of one. In the worst mixes, rows are few and far apart."""
    team, other = make_team(owner, projects=20), make_team(owner, slug="others", projects=5)
    owner.run_script(
        f"SELECT setseed({seed / 10**6});"
        "INSERT INTO job_runs"
        " (id, job_type, team_id, project_id, triggered_by, status, error, completed_at, created_at)"
        " SELECT gen_random_uuid(), CASE WHEN random() < 0.98 THEN 'revenuecat_sync' ELSE 'rare_type' END,"
        "        project.team_id, project.id, 'x', status, CASE status WHEN 'failed' THEN 'e' END, clock_timestamp(),"
        "        timestamptz '2026-01-01Z' + n * interval '2 min'"
        " FROM generate_series(1, 100000) n,"
        "      LATERAL (SELECT (array_agg(id ORDER BY id))[1 + (random() * n)::int % 25] AS id FROM projects) pick"
        "      JOIN projects project ON project.id = pick.id,"
        "      LATERAL (SELECT CASE WHEN random() + n * 0 < 0.97 THEN 'completed' WHEN random() < 0.7 THEN 'failed'"
        "               ELSE 'cancelled' END AS status) outcome;"
        # One run of a type is live for each project, so so many are live only in a team of many projects.
        f"INSERT INTO projects (team_id, name, slug) SELECT '{team.id}', 'P', 'crowd-' || n"
        " FROM generate_series(1, 12500) n;"
        "INSERT INTO job_runs"
        " (id, job_type, team_id, project_id, triggered_by, status, started_at, created_at, resend_at)"
        " SELECT gen_random_uuid(), type, team_id, project.id, 'x', status, CASE status WHEN 'running' THEN now() END,"
        "        timestamptz '2026-01-01Z' + n * interval '16 min', now()"
        " FROM (SELECT *, row_number() OVER (ORDER BY slug LIKE 'crowd-%', random()) AS n FROM projects"
        f"      WHERE team_id = '{team.id}') project,"
        "      unnest(ARRAY['revenuecat_sync', 'common_type', 'rare_type']) AS type,"
        "      LATERAL (SELECT CASE WHEN random() + n * 0 < 0.97 THEN 'running' ELSE 'pending' END AS status) stage"
        " WHERE type <> 'rare_type' OR n % 500 = 1;"
        "ANALYZE job_runs, projects"
    )
    deep = datetime(2026, 1, 2, tzinfo=UTC)
    limit = 51
    choices = {
        "job_type": [None, "revenuecat_sync", "rare_type"],
        "statuses": [None, "{pending}", "{running}", "{completed}", "{failed}", "{cancelled}", "{failed,cancelled}"],
        "project_id": [None, team.project_id],
        "since": [None, datetime(2026, 3, 1, tzinfo=UTC)],
        "before_created_at": [None, datetime(2026, 2, 1, tzinfo=UTC), deep],
    }
    for mix in itertools.product(*choices.values()):
        where = NO_FILTERS | dict(zip(choices, mix, strict=True))
        if where["before_created_at"]:
            where["before_id"] = reading.LAST_ID
        rows, buffers = explained(db, "list_runs", team_id=team.id, limit=limit, **where)
        # A page of one status reads the row of each ended run, and of each live one also the owner of its project.
        is_ended = where["statuses"] in ("{completed}", "{failed}", "{cancelled}")
        assert buffers <= 24 + (4 if is_ended else 9) * rows, (where, rows, buffers)
    assert other.id != team.id


def test_a_page_of_a_long_timeline_reads_its_own_rows(db, owner):
    """The run has 10,000 slices, and so have others; its last slice, in the run's own row, is the newest."""
    team = make_team(owner)
    owner.run_script(
        "INSERT INTO job_runs"
        " (id, job_type, team_id, project_id, triggered_by, status, completed_at, slice, request_id, slice_started_at)"
        f" SELECT gen_random_uuid(), 'revenuecat_sync', '{team.id}', '{team.project_id}', 'x', 'completed', now(),"
        " 10000, 'last', now() FROM generate_series(1, 5);"
        "INSERT INTO job_slices (run_id, slice, request_id, started_at, outcome)"
        " SELECT id, n, 'r' || n, now(), 'continued' FROM job_runs, generate_series(0, 9999) n;"
        "ANALYZE job_runs, job_slices"
    )
    [[run_id]] = owner.run_script("SELECT CAST(id AS text) FROM job_runs LIMIT 1")
    for at_most in (1, 50, 1001):
        slices = db.query("list_slices", run_id=run_id, at_most=at_most)
        assert [row["slice"] for row in slices] == list(range(10_001 - at_most, 10_001))
        assert (slices[-1]["request_id"], slices[-1]["outcome"]) == ("last", "completed")
        explained(db, "list_slices", run_id=run_id, at_most=at_most)
        rows, buffers = explained(db, "list_slices", run_id=run_id, at_most=at_most)
        assert rows == at_most
        assert buffers <= 12 + rows / 5, (rows, buffers)  # a page of the table holds about 80 slices


def test_another_teams_project_costs_what_no_project_costs(db, owner):
    """Its history is not read, with or without filters, so the time does not reveal that the project exists."""
    team, others = make_team(owner), make_team(owner, slug="others")
    for side in (team, others):
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, completed_at, created_at)"
            f" SELECT gen_random_uuid(), 'revenuecat_sync', '{side.id}', '{side.project_id}', 'x', 'completed',"
            " clock_timestamp(), clock_timestamp() - n * interval '1 min' FROM generate_series(1, 20000) n"
        )
    owner.run_script("ANALYZE job_runs")
    choices = {
        "job_type": [None, "revenuecat_sync", "retired_type"],
        "statuses": [None, "{completed}", "{failed}"],
        "since": [None, datetime(2026, 1, 1, tzinfo=UTC)],
        "before_created_at": [None, datetime(2050, 1, 1, tzinfo=UTC)],
    }
    for mix in itertools.product(*choices.values()):
        where = {"team_id": team.id, "limit": 51} | dict(zip(choices, mix, strict=True))
        if where["before_created_at"]:
            where["before_id"] = str(uuid.uuid4())
        nowhere = where | {"project_id": str(uuid.uuid4())}
        explained(db, "list_runs", **nowhere)  # The first run of a plan reads the catalogue for its operators.
        unknown = explained(db, "list_runs", **nowhere)
        foreign = explained(db, "list_runs", project_id=others.project_id, **where)
        assert unknown[0] == foreign[0] == 0
        assert max(unknown[1], foreign[1]) <= 10, (where, unknown, foreign)
    own = explained(db, "list_runs", team_id=team.id, project_id=team.project_id, limit=51)
    assert own[0] == 51


def test_a_run_is_found_by_the_beginning_of_its_id_among_any_number(db, owner):
    """Half of 100,000 runs are the team's; neither the team's own nor the others' are read."""
    team, other = make_team(owner), make_team(owner, slug="others")
    owner.run_script(
        "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, completed_at)"
        " SELECT gen_random_uuid(), 'revenuecat_sync', project.team_id, project.id, 'x', 'completed', now()"
        " FROM generate_series(1, 50000), projects project; ANALYZE job_runs"
    )
    [[whole]] = owner.run_script(f"SELECT id FROM job_runs WHERE team_id = '{team.id}' LIMIT 1")
    for digits, team_id in ((8, team.id), (4, team.id), (4, None), (8, other.id)):
        first = str(whole).replace("-", "")[:digits]
        rows, buffers = explained(
            db, "find_runs_by_prefix", first=first.ljust(32, "0"), last=first.ljust(32, "f"), team_id=team_id, limit=6
        )
        assert rows >= 1 or team_id == other.id
        # Of a hundred thousand runs, one or two begin with any given four digits, but chance may give more.
        [[alike]] = owner.run_script(
            f"SELECT count(*) FROM job_runs WHERE left(replace(id::text, '-', ''), {digits}) = '{first}'"
        )
        assert buffers <= 12 + 4 * alike, (digits, rows, buffers, alike)
