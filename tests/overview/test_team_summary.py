"""The overview of a team: each ending is counted once, and each state says what the docs say."""

import json
import math
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from statistics import median_low
from time import process_time

import pytest

from nightshift.base.errors import NotFound
from nightshift.healing.sweep import RESERVE_S
from nightshift.overview import counting, team_summary
from nightshift.overview.counting import count_endings
from nightshift.overview.error_groups import pattern_of
from nightshift.overview.figures import DAYS
from nightshift.overview.lengths import added, median_ms, trend
from nightshift.overview.team_summary import summary
from nightshift.schedules import zoned_cron
from nightshift.testing.rows import make_team, sweep
from tests.support.plans import explained

LATE_S = 120
STATUSES = ("completed", "failed", "cancelled")
INSERT = """
    INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, error, created_at, started_at,
                          completed_at)
    SELECT gen_random_uuid(), CAST(run->>'job_type' AS text), CAST(run->>'team' AS uuid),
           CAST(run->>'project' AS uuid), 'schedule', run->>'status',
           CASE WHEN run->>'status' = 'failed' THEN coalesce(run->>'error', 'It broke') END,
           at - CAST(run->>'took' AS interval) - CAST(run->>'waited' AS interval),
           at - CAST(run->>'took' AS interval), at
    FROM jsonb_array_elements('{runs}') AS run,
         LATERAL (SELECT clock_timestamp() - CAST(run->>'ago' AS interval) AS at) AS ending
"""


def ended(owner, team, *runs, project=None):
    """Insert ended runs ``(status, ago)`` or ``(status, ago, fields)``."""
    rows = [
        {
            "team": team.id, "project": project or team.project_id, "job_type": "revenuecat_sync", "status": status,
            "ago": ago, "took": "10 s", "waited": "1 s", **(more[0] if more else {}),
        }
        for status, ago, *more in runs
    ]  # fmt: skip
    owner.run_script(INSERT.replace("{runs}", json.dumps(rows).replace("'", "''")))


def now(owner):
    return owner.run_script("SELECT clock_timestamp()")[0][0]


def overview(owner, db, team, **asked):
    return summary(team.id, **{"project_id": None, "job_type": None, "now": now(owner), "db": db} | asked)


def count_all(db):
    return count_endings(late_s=LATE_S, may_go_on=lambda: True, db=db)


def scheduled(owner, team, cron="0 3 * * *", next_slot="1 hour"):
    owner.run_script(
        "INSERT INTO job_team_schedules (project_id, job_type, name, cron, zone, params, created_by, next_slot) VALUES"
        f" ('{team.project_id}', 'revenuecat_sync', 'n', '{cron}', 'UTC', '{{}}', 'x',"
        f" clock_timestamp() + interval '{next_slot}')"
    )


@pytest.mark.parametrize("seed", range(3))
def test_each_ending_is_counted_once_however_often_and_however_the_sweep_counts(owner, db, connect, monkeypatch, seed):
    """Counts of days equal those of the runs, whatever the batches, repeats and late endings."""
    chance = random.Random(seed)
    monkeypatch.setattr(counting, "BATCH", chance.choice((1, 3, 50)))
    teams = [make_team(owner, slug="a", projects=2), make_team(owner, slug="b")]
    second = connect()
    for _ in range(3):
        for team in teams:
            ended(owner, team, *(
                (chance.choice(STATUSES), f"{chance.choice((3, 30, 700, 5000, 19_000))} min",
                 {"took": f"{chance.choice((0, 5, 5000, 90_000))} ms", "waited": f"{chance.choice((1, 900))} s",
                  "job_type": chance.choice(("revenuecat_sync", "revenuecat_backfill"))})
                for _ in range(chance.randrange(12))
            ))  # fmt: skip
        # The new rows are older than those that are counted already.
        owner.run_script("UPDATE job_sweep SET counted_until = '-infinity'; TRUNCATE job_days")
        assert count_all(db) + count_all(second) == owner.run_script("SELECT count(*) FROM job_runs")[0][0]
    assert count_all(db) == 0
    first_day = now(owner).astimezone(UTC).date() - timedelta(days=DAYS - 1)
    for team in teams:
        told = overview(owner, db, team)
        for job in told["jobs"]:
            rows = owner.run_script(
                "SELECT status, CAST(completed_at AT TIME ZONE 'UTC' AS date), completed_at - started_at,"
                f" started_at - created_at FROM job_runs WHERE project_id = '{job['project_id']}'"
                f" AND job_type = '{job['job_type']}' AND team_id = '{team.id}'"
            )
            rows = [row for row in rows if row[1] >= first_day]
            expected = Counter((status, (day - first_day).days) for status, day, *_ in rows)
            for status in STATUSES:
                assert job[status] == [expected[status, day] for day in range(DAYS)]
            took = [row[2].total_seconds() * 1000 for row in rows if row[0] == "completed"]
            assert (job["median_ms"] is None) == (not took)
            if took:
                assert job["median_ms"] == pytest.approx(max(median_low(took), 1), rel=0.1, abs=1)


def test_an_ending_that_the_sweep_has_yet_to_count_is_read_from_the_runs(owner, db, cloud):
    team = make_team(owner)
    ended(owner, team, ("completed", "1 hour"), ("failed", "3 min"), ("completed", "10 s"))
    assert sweep(db=db, settings=cloud)["counted"] == 2
    assert owner.run_script("SELECT sum(completed), sum(failed) FROM job_days") == [[1, 1]]
    [job] = overview(owner, db, team)["jobs"]
    assert (sum(job["completed"]), sum(job["failed"])) == (2, 1)
    assert sweep(db=db, settings=cloud)["counted"] == 0


def test_an_ending_that_commits_late_is_counted(owner, db, connect):
    team, late = make_team(owner), connect(user="postgres")
    late.begin()
    ended(late, team, ("completed", "1 s"))
    ended(owner, team, ("failed", "0 s"))
    assert count_all(db) == 0  # neither is old enough for all before it to be committed
    late.commit()
    assert count_endings(late_s=0, may_go_on=lambda: True, db=db) == 2


def test_two_sweeps_at_once_count_once(owner, db, connect):
    team, other = make_team(owner), connect()
    ended(owner, team, ("completed", "1 hour"))
    db.begin()
    assert count_all(db) == 1
    assert count_all(other) == 0  # the other sweep holds the row, and is not waited for
    db.commit()
    assert count_all(other) == 0
    assert owner.run_script("SELECT sum(completed) FROM job_days") == [[1]]


def test_counting_ends_when_time_runs_out_and_goes_on_later(owner, db, monkeypatch):
    monkeypatch.setattr(counting, "BATCH", 2)
    team = make_team(owner)
    ended(owner, team, *(("completed", f"{n} hours") for n in range(1, 8)))
    time = iter((True, True, False))
    assert count_endings(late_s=LATE_S, may_go_on=lambda: next(time), db=db) == 4
    assert count_all(db) == 3


def test_a_bounded_number_of_recent_endings_is_read_and_the_answer_says_until_when(owner, db, monkeypatch):
    monkeypatch.setattr(team_summary, "MOST_RECENT", 2)
    team = make_team(owner)
    ended(owner, team, *(("completed", f"{n} min") for n in range(1, 6)))
    told = overview(owner, db, team)
    assert sum(told["jobs"][0]["completed"]) == 2
    [[second]] = owner.run_script("SELECT completed_at FROM job_runs ORDER BY completed_at OFFSET 1 LIMIT 1")
    assert told["counted_until"] == second.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert told["jobs"][0]["last_completed"]["at"] > told["counted_until"]  # the newest run is always shown


@pytest.mark.parametrize(
    ("runs", "cron", "state"),
    [
        ([("completed", "1 hour")], "0 3 * * *", "fresh"),
        ([("completed", "49 hours")], "0 3 * * *", "late"),
        ([("completed", "47 hours")], "0 3 * * *", "fresh"),
        ([("completed", "49 hours"), ("failed", "50 hours")], "0 3 * * *", "late"),
        ([("completed", "49 hours")], "0 3 * * MON", "fresh"),
        ([("failed", "1 hour"), ("completed", "2 hours")], "0 3 * * *", "failing"),
        ([("completed", "1 hour"), ("failed", "2 hours")], "0 3 * * *", "fresh"),
        ([("completed", "1 hour"), ("cancelled", "2 min")], "0 3 * * *", "fresh"),
        ([("cancelled", "2 min")], None, "new"),
        ([], "0 3 * * *", "new"),
        ([("failed", "300 days")], None, "failing"),
        ([("completed", "300 days")], None, "unscheduled"),
    ],
)
def test_a_state_says_whether_the_data_is_fresh(owner, db, runs, cron, state):
    team = make_team(owner)
    ended(owner, team, *runs)
    if cron:
        scheduled(owner, team, cron)
    told = overview(owner, db, team)
    assert [job["state"] for job in told["jobs"]] == [state]
    assert told["states"] == dict.fromkeys(team_summary.STATES, 0) | {state: 1}


def test_a_project_with_neither_runs_nor_schedules_has_no_entry_and_a_deleted_one_disappears(owner, db):
    team = make_team(owner, projects=2)
    assert overview(owner, db, team)["jobs"] == []
    ended(owner, team, ("failed", "1 hour"))
    assert len(overview(owner, db, team)["errors"]) == 1
    owner.run_script(f"UPDATE projects SET deleted_at = clock_timestamp() WHERE id = '{team.project_id}'")
    told = overview(owner, db, team)
    assert (told["jobs"], told["errors"]) == ([], [])


def test_a_team_sees_neither_another_teams_runs_nor_those_of_a_project_before_it_came(owner, db):
    team, other = make_team(owner, slug="a"), make_team(owner, slug="b")
    ended(owner, other, ("failed", "1 hour"), ("completed", "2 hours"), ("completed", "1 min"))
    count_all(db)
    assert overview(owner, db, team)["jobs"] == []
    owner.run_script(f"UPDATE projects SET team_id = '{team.id}', slug = 'moved' WHERE id = '{other.project_id}'")
    for each in (team, other):
        told = overview(owner, db, each)
        assert (told["jobs"], told["errors"]) == ([], [])
    with pytest.raises(NotFound):
        overview(owner, db, other, project_id=other.project_id)


def test_failed_runs_are_grouped_by_their_error_with_what_to_do(owner, db):
    team = make_team(owner, projects=2)
    errors = [
        "RevenueCat answered 401 to GET https://api.example/v2/projects/proj12ab34cd/customers",
        "RevenueCat answered 401 to GET https://api.example/v2/projects/proj99xx88yy/customers",
        "User $RCAnonymousID:87c6049c58069238dce29853916d624c: 5 times in a row",
    ]
    ended(owner, team, *(("failed", f"{n + 1} hours", {"error": error}) for n, error in enumerate(errors)))
    told = overview(owner, db, team)
    assert [(group["error"], group["runs"], group["projects"]) for group in told["errors"]] == [
        ("RevenueCat answered 401 to GET <address>", 2, 1),
        ("User $RCAnonymousID:<id>: <n> times in a row", 1, 1),
    ]
    assert "provider's key" in told["errors"][0]["advice"]
    assert told["failures_looked_at"] == 3
    assert told["has_more_failures"] is False


@pytest.mark.parametrize(
    "text", ["a", "a1", "_", "a-", "a.", "a@", "a@b.", "1,", "deadbeef-", "2026-01-01", "https://"]
)
def test_a_long_text_in_an_error_costs_no_more_than_its_length(text):
    """A provider may answer with one endless word. A square of its length would take a minute."""
    error = text * (40_000 // len(text))
    began = process_time()
    pattern_of(error)
    assert process_time() - began < 2


def test_schedules_with_the_same_times_are_computed_once(owner, db, monkeypatch):
    team = make_team(owner, projects=10)
    computed = []
    team_summary._longest_gap.cache_clear()
    monkeypatch.setattr(team_summary, "zoned_cron", lambda *cron: computed.append(cron) or zoned_cron.zoned_cron(*cron))
    owner.run_script(
        "INSERT INTO job_team_schedules (project_id, job_type, name, cron, zone, params, created_by, next_slot)"
        " SELECT id, 'revenuecat_sync', 'n', '*/5 * * * *', 'UTC', '{}', 'x', date_trunc('day', now()) + interval '2 d'"
        f" FROM projects WHERE team_id = '{team.id}'"
    )
    assert len(overview(owner, db, team)["jobs"]) == 10
    assert computed == [("*/5 * * * *", "UTC")]


def test_trends_need_runs_in_both_weeks_and_a_noticeable_change():
    def histogram(ms, runs=3):
        return added([{str(math.floor(4 * math.log2(ms))): runs}])

    assert trend(histogram(1000), histogram(1000)) == "steady"
    assert trend(histogram(1000), histogram(1600)) == "slower"
    assert trend(histogram(1600), histogram(1000)) == "faster"
    assert trend(histogram(1000, runs=2), histogram(9000)) is None
    assert median_ms(added([])) is None


def test_old_days_are_deleted(owner, db, cloud):
    team = make_team(owner)
    ended(owner, team, ("completed", "20 days"), ("completed", "31 days"), ("completed", "33 days"))
    owner.run_script("UPDATE job_sweep SET counted_until = '-infinity'")
    assert sweep(db=db, settings=cloud)["counted"] == 3
    sweep(db=db, settings=cloud)
    [[oldest]] = owner.run_script("SELECT min(day) FROM job_days")
    assert oldest >= (datetime.now(UTC) - timedelta(days=31)).date()


def test_the_costs_do_not_depend_on_the_history(owner, db):
    """Buffers of the two statements with a history of 30,000 runs are those with 300, but for the levels of indexes."""
    team, first_day = make_team(owner, projects=3), now(owner).date() - timedelta(days=13)
    wanted = {"team_id": team.id, "job_types": "{revenuecat_sync}", "first_day": first_day, "projects": 1000}
    costs = []
    for runs in (300, 30_000):
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, status, team_id, project_id, triggered_by, created_at, started_at,"
            " completed_at, error) SELECT gen_random_uuid(), 'revenuecat_sync', CASE WHEN n % 9 > 0 THEN 'completed'"
            f" ELSE 'failed' END, '{team.id}', project.id, 'x', at, at, at, CASE WHEN n % 9 = 0 THEN 'e' END"
            f" FROM generate_series(1, {runs}) n, LATERAL (SELECT clock_timestamp() - interval '10 days' * n / {runs}"
            " AS at) AS time, LATERAL (SELECT id FROM projects ORDER BY id OFFSET n % 3 LIMIT 1) AS project;"
            " UPDATE job_sweep SET counted_until = '-infinity'; TRUNCATE job_days"
        )
        count_all(db)
        owner.run_script("VACUUM ANALYZE job_runs")
        owner.run_script("VACUUM ANALYZE job_days")
        costs.append(explained(owner, "summary_of_team", at_most=2000, **wanted))
        costs.append(explained(owner, "recent_failures", team_id=team.id, since=first_day, at_most=1000))
        owner.run_script("UPDATE job_sweep SET counted_until = clock_timestamp() - interval '1 day'")
        costs.append(explained(owner, "count_endings", late_s=0, at_most=500))
    (jobs, before), _, _, (_, after), (failures, found), (_, counted) = costs
    assert jobs == 3
    assert after < before + 20
    assert failures == 1000
    assert found < 3500
    assert counted < 60 + 500 * 2


def test_the_sweep_counts_while_it_has_time_and_goes_on_if_that_fails(owner, db, cloud, monkeypatch):
    team = make_team(owner)
    ended(owner, team, ("completed", "1 hour"), ("completed", "100 days"))
    assert sweep(db=db, settings=cloud, remaining_s=lambda: RESERVE_S)["counted"] == 0

    def refuse(**_):
        raise ValueError("no")

    monkeypatch.setattr("nightshift.healing.sweep.count_endings", refuse)
    with pytest.raises(ValueError, match="no"):
        sweep(db=db, settings=cloud)
    monkeypatch.undo()
    assert sweep(db=db, settings=cloud)["counted"] == 1


def test_a_failure_of_the_counting_does_not_keep_the_sweep_from_its_log(owner, db, cloud, monkeypatch, caplog):
    ended(owner, make_team(owner), ("completed", "100 days"), ("completed", "1 hour"))
    monkeypatch.setattr("nightshift.healing.sweep.count_endings", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sweep(db=db, settings=cloud)
    assert "The sweep failed at the days of the overview" in caplog.text
